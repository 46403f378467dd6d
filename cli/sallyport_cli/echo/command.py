"""`sallyport echo-upstream`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import click

from sallyport_cli.echo.app import create_app
from sallyport_cli.echo.faults import FAULT_MODELS, Faults, Turns
from sallyport_cli.serving import listen, serve, stop_on_signals, stop_when_orphaned

# Set by `sallyport local` for the upstream it starts: a key on a command line could be read by anyone.
REQUIRED_KEY_VARIABLE: Final = "SALLYPORT_ECHO_REQUIRED_KEY"

_FAILING: Final = 500
_MODEL_HELP = "\n".join(f"  {name}: {what}" for name, what in FAULT_MODELS.items())


@click.command("echo-upstream", epilog=f"\b\nA model's name asks for a fault in one request:\n{_MODEL_HELP}")
@click.option("--port", default=9000, show_default=True, type=click.IntRange(0, 65_535), help="0 takes a free port.")
@click.option("--delay-ms", default=0, help="Wait before every chunk.")
@click.option("--status", type=click.IntRange(400, 599), help="Answer every call with this status.")
@click.option(
    "--fail-every", type=click.IntRange(1), metavar="N", help="Answer every Nth call alone with --status, or with 500."
)
@click.option("--cut-after", type=click.IntRange(0), metavar="N", help="Cut the connection after N chunks.")
@click.option("--silent", is_flag=True, help="Take requests and never answer.")
@click.option("--require-key", metavar="KEY", help="Refuse requests without `Authorization: Bearer KEY`.")
@click.option(
    "--jwks",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Serve this file under its own name, such as /jwks.json; repeatable.",
)
@click.option("--until-stdin-ends", is_flag=True, hidden=True)
def echo_upstream(
    *,
    port: int,
    delay_ms: int,
    status: int | None,
    fail_every: int | None,
    cut_after: int | None,
    silent: bool,
    require_key: str | None,
    jwks: tuple[Path, ...],
    until_stdin_ends: bool,
) -> None:
    """An OpenAI-compatible upstream that answers with what it was told, and fails on demand."""
    turns = None if fail_every is None else Turns(fail_every)
    failing = _FAILING if status is None and turns else status
    faults = Faults(delay_ms=delay_ms, status=failing, turns=turns, cut_after=cut_after, silent=silent)
    key = require_key or os.environ.get(REQUIRED_KEY_VARIABLE)
    try:
        listener = listen(port)
    except OSError as error:
        raise click.ClickException(f"port {port}: {error.strerror}") from None
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def run() -> None:
        stop = stop_on_signals()
        orphaned = asyncio.create_task(stop_when_orphaned(stop)) if until_stdin_ends else None
        app = create_app(faults, require_key=key, jwks=jwks)
        print(f"echo upstream at {url}/v1", file=sys.stderr)
        await serve(app, listener, stop, lambda: print(f"ready {url}", flush=True))
        if orphaned is not None:
            orphaned.cancel()

    asyncio.run(run())

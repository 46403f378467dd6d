"""`sallyport local`."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TextIO

import click

from sallyport_cli.local.children import ChildError
from sallyport_cli.local.clockwork import DEFAULT_MINUTE_S
from sallyport_cli.local.parameters import parse_assignments
from sallyport_cli.local.policy_file import PolicyNotAppliedError
from sallyport_cli.local.request_log import Console
from sallyport_cli.local.session import Options, Session, check
from sallyport_cli.local.template_file import TemplateError
from sallyport_cli.serving import listen

_SECRET_NAME = re.compile(r"[A-Za-z0-9_+=.@-]+(/[A-Za-z0-9_+=.@-]+)*")


def _parse_secret(text: str) -> tuple[str, str]:
    """Read `NAME=VALUE`; what was given is never repeated, since it may be the value."""
    name, equals, value = text.partition("=")
    if not equals or not value or not _SECRET_NAME.fullmatch(name):
        raise click.BadParameter("must be NAME=VALUE, NAME such as identity/origin", param_hint="--secret")
    return name, value


def _open_log(path: Path | None) -> AbstractContextManager[TextIO | None]:
    """Open a file to add whole lines to, one by one, so that it can be read while the gateway runs."""
    try:
        return nullcontext() if path is None else path.open("a", buffering=1, encoding="utf-8")
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}", param_hint="--log-file") from None


@click.command()
@click.option("--template", default="template.yaml", show_default=True, type=click.Path(path_type=Path))
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65_535), help="0 takes a free port.")
@click.option(
    "--aws-port",
    default=0,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="Of the embedded DynamoDB and Secrets Manager, for --endpoint-url of the other commands; 0 takes a free port.",
)
@click.option("--concurrency", default=10, show_default=True, type=click.IntRange(1, 100), help="Of each function.")
@click.option("--cold", is_flag=True, help="Start a new process for every request.")
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A stack parameter; repeatable.")
@click.option("--upstream", metavar="URL", help="Base URL of an OpenAI-compatible upstream, with its /v1.")
@click.option(
    "--policy",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A policy document; its changes apply while it runs.",
)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="NAME=VALUE",
    help="A secret of the stack in the embedded Secrets Manager, such as identity/origin=... or, for an upstream of"
    " the policy, upstreams/its-secret=...; repeatable.",
)
@click.option("--seed/--no-seed", default=True, show_default=True, help="Make a demo key.")
@click.option(
    "--region",
    default="us-east-1",
    show_default=True,
    help="The region the stack believes to be in; prompts stay there unless a parameter says otherwise.",
)
@click.option("--stack-name", default="sallyport", show_default=True)
@click.option(
    "--schedule-seconds",
    "schedule_minute_s",
    default=DEFAULT_MINUTE_S,
    show_default=True,
    type=click.FloatRange(0.1, 60),
    help="How long a schedule's minute takes, such as the canary guard's; 60 is as on AWS.",
)
@click.option(
    "--log-file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Add every line that the functions print to FILE, such as audit records for `sallyport residency`.",
)
@click.option("--verbose", is_flag=True, help="Show everything the functions print.")
def local(
    *,
    template: Path,
    port: int,
    aws_port: int,
    concurrency: int,
    cold: bool,
    parameters: tuple[str, ...],
    upstream: str | None,
    policy: Path | None,
    secrets: tuple[str, ...],
    seed: bool,
    region: str,
    stack_name: str,
    schedule_minute_s: float,
    log_file: Path | None,
    verbose: bool,
) -> None:
    """Serve the stack of template.yaml on this machine, with nothing of AWS but its ways.

    With no --upstream it talks to OpenAI where OPENAI_API_KEY is set (with UpstreamProvider=anthropic to Anthropic
    where ANTHROPIC_API_KEY is), else to an echo that it starts itself. The key of any other upstream is taken from
    SALLYPORT_UPSTREAM_API_KEY. DynamoDB and Secrets Manager are embedded, unless AWS_ENDPOINT_URL names an emulator.
    """
    try:
        options = Options(
            template=template,
            parameters=parse_assignments(parameters),
            upstream=upstream,
            concurrency=concurrency,
            cold=cold,
            seed=seed,
            region=region,
            stack_name=stack_name,
            policy=policy,
            secrets=dict(_parse_secret(text) for text in secrets),
            schedule_minute_s=schedule_minute_s,
            aws_port=aws_port,
        )
        reading = check(options, os.environ)
        listener = listen(port)
        with _open_log(log_file) as log:
            console = Console(verbose=verbose, stream=sys.stderr, log=log)
            asyncio.run(Session(options, os.environ, listener, console, reading).run())
    except PolicyNotAppliedError as error:
        click.echo(str(error), err=True)  # a line for each mistake, as an editor or a terminal makes links of
        sys.exit(1)
    except (TemplateError, ChildError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"port {port}: {error.strerror}; --port takes another one") from None

"""`sallyport emulator`: what `sam local invoke`, `sallyport invoke` and the golden events need, on fixed ports."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import click

from sallyport.identity.api_keys import parse
from sallyport_cli.docker_bridge import BridgeRelay, bridge_address
from sallyport_cli.key_items import KeyGrant, store_key
from sallyport_cli.local.children import Child, ChildError
from sallyport_cli.local.emulated_data import create_secret, create_tables, emulator_clients, secret_names
from sallyport_cli.local.guardian import Guardian
from sallyport_cli.local.stack import Stack, load_stack
from sallyport_cli.local.template_file import TemplateError
from sallyport_cli.serving import stop_on_signals

# SAM CLI's value of AWS::StackName in `sam local`.
SAM_LOCAL_STACK: Final = "local"
EXAMPLE_GRANT: Final = KeyGrant(tenant="acme", name="example", subject="example")


@click.command()
@click.option("--template", default="template.yaml", show_default=True, type=click.Path(path_type=Path))
@click.option("--port", default=5001, show_default=True, help="Of DynamoDB and Secrets Manager.")
@click.option("--echo-port", default=9000, show_default=True, help="Of the echo upstream and /jwks.json.")
@click.option(
    "--events",
    default="events",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Holds jwks.json and example-key.txt.",
)
@click.option("--docker", is_flag=True, help="Let containers reach it too, as localhost (see events/README.md).")
def emulator(*, template: Path, port: int, echo_port: int, events: Path, docker: bool) -> None:
    """Run the emulated DynamoDB and Secrets Manager and the echo upstream, filled for the events in events/."""
    try:
        stack = load_stack(template, {}, name=SAM_LOCAL_STACK)
        asyncio.run(_run(stack, port, echo_port, events, docker=docker))
    except (TemplateError, ChildError) as error:
        raise click.ClickException(str(error)) from None


async def _run(stack: Stack, port: int, echo_port: int, events: Path, *, docker: bool) -> None:
    stop = stop_on_signals()
    async with AsyncExitStack() as cleanup:
        guardian = cleanup.enter_context(Guardian())
        moto = await Child.start(["sallyport_cli.local.moto_process", str(port)], guardian)
        cleanup.push_async_callback(moto.stop)
        echo = await Child.start(_echo_arguments(echo_port, events), guardian)
        cleanup.push_async_callback(echo.stop)
        key_id = await asyncio.to_thread(_fill, stack, moto.url, events)
        if docker:
            cleanup.callback(await _open_to_containers((port, echo_port)))
        print(f"AWS {moto.url}, upstream {echo.url}/v1, example key: {key_id or 'none'}", file=sys.stderr)
        print(f"ready {moto.url}", flush=True)
        await stop.wait()


async def _open_to_containers(ports: tuple[int, int]) -> Callable[[], None]:
    """Start the relay on Docker's bridge, and give what closes it."""
    address = await asyncio.to_thread(bridge_address)
    if address is None:
        raise ChildError("--docker: Docker doesn't answer")
    relay = BridgeRelay(address, ports)
    await relay.start()
    return relay.close


def _echo_arguments(port: int, events: Path) -> list[str]:
    arguments = ["sallyport_cli.main", "echo-upstream", "--port", str(port), "--until-stdin-ends"]
    jwks = events / "jwks.json"
    return [*arguments, "--jwks", str(jwks)] if jwks.is_file() else arguments


def _fill(stack: Stack, url: str, events: Path) -> str | None:
    """Tables, the upstream's secret and the example key, whose id is returned."""
    dynamodb, secretsmanager = emulator_clients(url, stack.region)
    create_tables(dynamodb, stack)
    for name in secret_names(stack):
        create_secret(secretsmanager, name, "echo-takes-any-key")
    path = events / "example-key.txt"
    parts = parse(path.read_text(encoding="ascii").strip()) if path.is_file() else None
    config = stack.tables.get("ConfigTable")
    if parts is None or config is None:
        return None
    store_key(dynamodb, str(config.TableName), parts.key_id, parts.secret_sha256, EXAMPLE_GRANT)
    return parts.key_id

"""`sallyport emulator`: what `sam local invoke`, `sallyport invoke` and the golden events need, on fixed ports."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sallyport.identity.api_keys import KeyParts
from sallyport_cli.docker_bridge import BridgeRelay, bridge_address
from sallyport_cli.key_items import KeyGrant, store_key
from sallyport_cli.local.children import Child, ChildError
from sallyport_cli.local.emulated_data import create_secret, create_tables, emulator_clients, secret_names
from sallyport_cli.local.guardian import Guardian
from sallyport_cli.local.policy_file import PolicyNotAppliedError, parse_policy, read_bytes
from sallyport_cli.local.policy_store import TableStore
from sallyport_cli.local.seed import Seed, SeedError, read_example_key, read_seed
from sallyport_cli.local.stack import Stack, load_stack
from sallyport_cli.local.template_file import TemplateError
from sallyport_cli.serving import stop_on_signals
from sallyport_cli.target import CONFIG_TABLE

if TYPE_CHECKING:
    from sallyport_cli.policy.documents import Document

# SAM CLI's value of AWS::StackName in `sam local`.
SAM_LOCAL_STACK: Final = "local"
SEED_FILE: Final = "seed.json"
EXAMPLE_FILE: Final = "example-key.txt"
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
    help="Holds example-key.txt, seed.json, jwks*.json and policy.yaml, as far as they are there.",
)
@click.option("--docker", is_flag=True, help="Let containers reach it too, as localhost (see events/README.md).")
def emulator(*, template: Path, port: int, echo_port: int, events: Path, docker: bool) -> None:
    """Run the emulated DynamoDB and Secrets Manager and the echo upstream, filled for the events in events/."""
    try:
        stack = load_stack(template, {}, name=SAM_LOCAL_STACK)
        contents = _read_contents(events, echo_port)
        asyncio.run(_run(stack, contents, (port, echo_port), docker=docker))
    except (TemplateError, ChildError, SeedError, PolicyNotAppliedError) as error:
        raise click.ClickException(str(error)) from None


@dataclass(frozen=True)
class _Contents:
    """What the files in `events` say that the emulator is to hold."""

    events: Path
    seed: Seed
    policy: Document | None
    example: KeyParts | None


def _read_contents(events: Path, echo_port: int) -> _Contents:
    """Read the files before anything is started. Raises `SeedError` or `PolicyNotAppliedError`, which name the file."""
    return _Contents(
        events,
        read_seed(events / SEED_FILE),
        _read_policy(events / "policy.yaml", echo_port),
        read_example_key(events / EXAMPLE_FILE),
    )


def _read_policy(path: Path, echo_port: int) -> Document | None:
    """The events' policy, its issuers' keys being where the echo upstream serves them in this run."""
    if not path.is_file():
        return None
    content = read_bytes(path).replace(b"//localhost:9000/", f"//localhost:{echo_port}/".encode())
    return parse_policy(content, path).document


async def _run(stack: Stack, contents: _Contents, ports: tuple[int, int], *, docker: bool) -> None:
    port, echo_port = ports
    stop = stop_on_signals()
    async with AsyncExitStack() as cleanup:
        guardian = cleanup.enter_context(Guardian())
        moto = await Child.start(["sallyport_cli.local.moto_process", str(port)], guardian)
        cleanup.push_async_callback(moto.stop)
        echo = await Child.start(_echo_arguments(echo_port, contents.events), guardian)
        cleanup.push_async_callback(echo.stop)
        key_id = await asyncio.to_thread(_fill, stack, moto.url, contents)
        if docker:
            cleanup.callback(await _open_to_containers(ports))
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
    return [*arguments, *(part for path in sorted(events.glob("jwks*.json")) for part in ("--jwks", str(path)))]


def _fill(stack: Stack, url: str, contents: _Contents) -> str | None:
    """Tables, secrets, the policy and the example keys, of which the first one's id is returned."""
    dynamodb, secretsmanager = emulator_clients(url, stack.region)
    create_tables(dynamodb, stack)
    for name in secret_names(stack):
        create_secret(secretsmanager, name, "echo-takes-any-key")
    config = stack.tables.get(CONFIG_TABLE)
    if config is None:
        return None
    table = str(config.TableName)
    with _refusals_of(contents.events / SEED_FILE):
        for name, value in contents.seed.secrets.items():
            create_secret(secretsmanager, f"{stack.name}/{name}", value)
        for key in contents.seed.keys:
            key.store(dynamodb, table)
    if contents.policy is not None:
        TableStore(dynamodb, table).apply(contents.policy)
    if contents.example is None:
        return None
    with _refusals_of(contents.events / EXAMPLE_FILE):
        store_key(dynamodb, table, contents.example.key_id, contents.example.secret_sha256, EXAMPLE_GRANT)
    return contents.example.key_id


@contextmanager
def _refusals_of(path: Path) -> Iterator[None]:
    """Tells what the emulated AWS doesn't take from a file. Raises `SeedError`."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - loaded with the clients

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise SeedError(f"{path}: {error}") from None

"""One run of `sallyport local`: everything it starts, in order, and everything it ends."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.routing import Mount

from sallyport.access.networks import NetworkSet
from sallyport_cli.echo.command import REQUIRED_KEY_VARIABLE
from sallyport_cli.local.api_gateway import ApiGateway
from sallyport_cli.local.banner import banner
from sallyport_cli.local.children import Child, ChildError
from sallyport_cli.local.clockwork import DEFAULT_MINUTE_S, Clockwork
from sallyport_cli.local.emulated_data import (
    create_secret,
    create_tables,
    emulator_clients,
    is_loopback,
    secret_names,
)
from sallyport_cli.local.function_process import FunctionProcess, InitError
from sallyport_cli.local.guardian import Guardian
from sallyport_cli.local.policy_file import FollowedPolicy, PolicyReading, read_policy_file
from sallyport_cli.local.policy_store import REFRESH_PARAMETER, TableStore, describe_refresh
from sallyport_cli.local.pool import FunctionPool
from sallyport_cli.local.request_log import Console
from sallyport_cli.local.seed import seed_demo_key
from sallyport_cli.local.stack import Function, Stack, load_stack
from sallyport_cli.local.template_file import TemplateError
from sallyport_cli.local.upstream import (
    REGION_PARAMETER,
    URL_PARAMETER,
    UpstreamChoice,
    choose_upstream,
    echo_base_url,
)
from sallyport_cli.serving import serve, stop_on_signals

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

CONFIG_TABLE: Final = "ConfigTable"
_NETWORK_PARAMETERS: Final = ("IpAllowList", "IpDenyList", "TrustedProxies")
_WARMED_AT_START: Final = ("AuthorizerFunction", "ChatCompletionsFunction")
# Who tries a policy or revokes a key here looks at once whether it worked.
_LOCAL_DEFAULTS: Final = {REFRESH_PARAMETER: "1", "KeyRevocationSeconds": "1"}
_RESIDENCY_PARAMETER: Final = "DefaultResidency"
_UNUSED_URL: Final = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    template: Path
    parameters: Mapping[str, str]
    upstream: str | None
    concurrency: int
    cold: bool
    seed: bool
    region: str
    stack_name: str
    policy: Path | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    schedule_minute_s: float = DEFAULT_MINUTE_S
    aws_port: int = 0


def check(options: Options, environment: Mapping[str, str]) -> PolicyReading | None:
    """Give the policy, if there is one, before anything is started.

    Raises `TemplateError` for a template or parameters that can't be served, `PolicyNotAppliedError` for such a policy.
    """
    choice = choose_upstream(options.upstream, environment, options.parameters, "")
    _check_networks(_load(options, choice, _UNUSED_URL))
    return None if options.policy is None else read_policy_file(options.policy)


def _check_networks(stack: Stack) -> None:
    """A pattern can't tell a network with host bits, say; on AWS the authorizer wouldn't start."""
    for name in _NETWORK_PARAMETERS:
        try:
            NetworkSet(item.strip() for item in str(stack.parameters.get(name, "")).split(",") if item.strip())
        except ValueError as error:
            raise TemplateError(f"Parameters.{name}", str(error)) from None


def _load(options: Options, choice: UpstreamChoice, echo_url: str) -> Stack:
    return load_stack(
        options.template,
        _parameters(options, choice, echo_url),
        name=options.stack_name,
        region=options.region,
        defaults=_defaults(options, choice),
    )


def _defaults(options: Options, choice: UpstreamChoice) -> dict[str, str]:
    """What stands in for the template's defaults: the gateway is at home where `--region` says.

    An upstream on this machine is there too. Any other one is where its parameter says.
    """
    asked = (choice.parameters or {}).get(URL_PARAMETER, "")
    is_here = choice.start_echo or is_loopback(asked)
    own = {_RESIDENCY_PARAMETER: options.region, **({REGION_PARAMETER: options.region} if is_here else {})}
    return {**_LOCAL_DEFAULTS, **own}


def _parameters(options: Options, choice: UpstreamChoice, echo_url: str) -> dict[str, str]:
    echo = {URL_PARAMETER: echo_base_url(echo_url, options.parameters)}
    chosen = echo if choice.start_echo else dict(choice.parameters or {})
    return {**chosen, **options.parameters}


class Session:
    """Runs a stack until it is told to stop."""

    def __init__(
        self,
        options: Options,
        environment: Mapping[str, str],
        listener: socket.socket,
        console: Console,
        policy: PolicyReading | None = None,
    ) -> None:
        self._options = options
        self._policy = policy
        self._environment = environment
        self._listener = listener
        self._console = console
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def run(self) -> None:
        """Starts everything, prints the banner and the ready line, serves, and leaves no process behind."""
        stop = stop_on_signals()
        echo_key = f"echo-{secrets.token_hex(8)}"
        choice = choose_upstream(self._options.upstream, self._environment, self._options.parameters, echo_key)
        async with AsyncExitStack() as cleanup:
            guardian = cleanup.enter_context(Guardian())
            starting = asyncio.create_task(self._start_all(choice, guardian, cleanup))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not starting.done():
                starting.cancel()
                await asyncio.wait({starting})
                return
            app = starting.result()
            await serve(app, self._listener, stop, lambda: print(f"ready {self.url}", flush=True))

    async def _start_all(self, choice: UpstreamChoice, guardian: Guardian, cleanup: AsyncExitStack) -> Starlette:
        emulator = asyncio.create_task(self._start_emulator(guardian, cleanup))
        stack = _load(self._options, choice, await self._start_echo(choice, guardian, cleanup))
        endpoint, clients = await emulator
        demo_key = None
        if clients is not None:
            demo_key = await asyncio.to_thread(self._fill, stack, choice, endpoint, clients)
            await self._put_policy_in_force(stack, clients[0], cleanup)
        pools = self._make_pools(stack, endpoint, guardian, cleanup)
        await self._warm(pools, stack)
        schedules = self._start_clockwork(stack, pools, cleanup)
        policy = self._options.policy if clients else None
        self._introduce(stack, choice, endpoint, demo_key, policy=policy, schedules=schedules)
        return Starlette(routes=[Mount("/", app=ApiGateway(stack, pools, self._console))])

    def _start_clockwork(
        self, stack: Stack, pools: Mapping[str, FunctionPool], cleanup: AsyncExitStack
    ) -> tuple[str, ...]:
        """Calls scheduled functions until the end; gives how often."""
        clockwork = Clockwork(stack.region, self._options.schedule_minute_s, self._console.say)
        for schedule in stack.schedules:
            running = asyncio.create_task(clockwork.run(schedule, pools[schedule.function]))
            cleanup.push_async_callback(_end, running)
        return tuple(clockwork.describe(schedule) for schedule in stack.schedules)

    def _introduce(
        self,
        stack: Stack,
        choice: UpstreamChoice,
        endpoint: str,
        demo_key: str | None,
        policy: Path | None,
        schedules: tuple[str, ...],
    ) -> None:
        described = endpoint if self._environment.get("AWS_ENDPOINT_URL") else f"{endpoint} (embedded, in memory)"
        for line in banner(
            self.url,
            stack,
            upstream=choice.description,
            emulator=described,
            demo_key=demo_key,
            model=self._model_to_try(stack, choice),
            policy=policy,
            schedules=schedules,
        ):
            self._console.say(line)

    def _model_to_try(self, stack: Stack, choice: UpstreamChoice) -> str:
        """Give the first model on offer, where the policy or the parameter says which are."""
        offered = list(self._policy.document.policy.models or ()) if self._policy else []
        offered += [name for name in str(stack.parameters.get("Models", "")).split(",") if name]
        return next(iter(offered), "echo" if choice.start_echo else "gpt-4o-mini")

    async def _put_policy_in_force(self, stack: Stack, dynamodb: DynamoDBClient, cleanup: AsyncExitStack) -> None:
        """Apply the policy file, and keep to it until the end."""
        config = stack.tables.get(CONFIG_TABLE)
        if self._options.policy is None or self._policy is None or config is None:
            return
        store = TableStore(dynamodb, str(config.TableName))
        in_force = describe_refresh(stack.parameters)
        followed = FollowedPolicy(self._options.policy, store, self._console.say, in_force=in_force)
        await asyncio.to_thread(followed.start, self._policy)
        following = asyncio.create_task(followed.follow())
        cleanup.push_async_callback(_end, following)

    async def _start_echo(self, choice: UpstreamChoice, guardian: Guardian, cleanup: AsyncExitStack) -> str:
        if not choice.start_echo:
            return ""
        arguments = ["sallyport_cli.main", "echo-upstream", "--port", "0", "--until-stdin-ends"]
        child = await Child.start(arguments, guardian, {REQUIRED_KEY_VARIABLE: choice.key})
        cleanup.push_async_callback(child.stop)
        return child.url

    async def _start_emulator(
        self, guardian: Guardian, cleanup: AsyncExitStack
    ) -> tuple[str, tuple[DynamoDBClient, SecretsManagerClient] | None]:
        """The endpoint, and clients to fill it with; none where it isn't on this machine."""
        endpoint = self._environment.get("AWS_ENDPOINT_URL")
        if not endpoint:
            importing = asyncio.create_task(asyncio.to_thread(emulator_clients, _UNUSED_URL, "us-east-1"))
            child = await Child.start(["sallyport_cli.local.moto_process", str(self._options.aws_port)], guardian)
            cleanup.push_async_callback(child.stop)
            endpoint = child.url
            await importing
        if not is_loopback(endpoint):
            what = "table, secret, demo key or policy" if self._options.policy else "table, secret or demo key"
            self._console.say(f"{endpoint} isn't on this machine: no {what} is written there")
            return endpoint, None
        return endpoint, emulator_clients(endpoint, self._options.region)

    def _fill(
        self, stack: Stack, choice: UpstreamChoice, endpoint: str, clients: tuple[DynamoDBClient, SecretsManagerClient]
    ) -> str | None:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - loaded with the clients

        dynamodb, secretsmanager = clients
        try:
            create_tables(dynamodb, stack)
            for name in secret_names(stack) if choice.key else ():
                create_secret(secretsmanager, name, choice.key)
            for name, value in self._options.secrets.items():
                create_secret(secretsmanager, f"{stack.name}/{name}", value)
            config = stack.tables.get(CONFIG_TABLE)
            if not self._options.seed or config is None:
                return None
            return seed_demo_key(dynamodb, str(config.TableName))
        except (BotoCoreError, ClientError) as error:
            raise ChildError(f"the emulated AWS at {endpoint}: {error}") from None

    def _make_pools(
        self, stack: Stack, endpoint: str, guardian: Guardian, cleanup: AsyncExitStack
    ) -> dict[str, FunctionPool]:
        def new_process(function: Function) -> FunctionProcess:
            return FunctionProcess(function, stack.region, endpoint, guardian, self._console)

        pools = {
            logical_id: FunctionPool(
                function,
                stack.region,
                new_process,
                concurrency=self._options.concurrency,
                cold=self._options.cold,
            )
            for logical_id, function in stack.functions.items()
        }
        for pool in pools.values():
            cleanup.push_async_callback(pool.close)
        return pools

    async def _warm(self, pools: Mapping[str, FunctionPool], stack: Stack) -> None:
        """Has the two doors waiting, and what the clock calls; one that can't start says why when called, as on AWS."""
        names = {*_WARMED_AT_START, *(schedule.function for schedule in stack.schedules)}
        warmed = [pools[name].warm() for name in sorted(names & pools.keys())]
        for outcome in await asyncio.gather(*warmed, return_exceptions=True):
            if isinstance(outcome, InitError):
                self._console.say(f"  a function doesn't start: {outcome} {outcome.answer.message}")
            elif isinstance(outcome, BaseException):
                raise outcome


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel it, and let it finish what it is at."""
    task.cancel()
    await asyncio.wait({task})

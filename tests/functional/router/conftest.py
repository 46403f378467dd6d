"""The chat route with its upstream and its store."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from sallyport.gateway.assembly.provider_route import Clocks, provider_route
from sallyport.gateway.operations import CHAT_COMPLETIONS
from tests.functional.router.canary_stage import CanaryStage
from tests.functional.router.gateway import UPSTREAM_KEY, Gateway, MakeGateway, Upstream, environ
from tests.support.aws import Emulator
from tests.support.servers import ScriptedServer


@pytest.fixture(scope="session")
def upstream_secret(emulator: Emulator) -> str:
    emulator.secrets.create_secret(Name="stack/openai", SecretString=UPSTREAM_KEY)
    return UPSTREAM_KEY


@pytest.fixture
def store(emulator: Emulator, upstream_secret: str) -> Emulator:
    emulator.empty_tables()
    return emulator


@pytest.fixture
def make(store: Emulator) -> Iterator[MakeGateway]:
    upstream = Upstream()
    with ScriptedServer(upstream) as server:

        def start(now: Callable[[], float] = time.time, **changes: str) -> Gateway:
            route = provider_route(CHAT_COMPLETIONS, Clocks(now_s=now))(environ(store, server.url, **changes))
            return Gateway(route, upstream)

        yield start


@pytest.fixture
def gateway(make: MakeGateway) -> Gateway:
    return make()


@pytest.fixture(scope="session")
def canary_secret(emulator: Emulator) -> str:
    emulator.secrets.create_secret(Name="stack/upstreams/canary", SecretString=UPSTREAM_KEY)
    return UPSTREAM_KEY


@pytest.fixture
def canary_stage(store: Emulator, canary_secret: str) -> Iterator[CanaryStage]:
    with ExitStack() as servers:
        yield CanaryStage(store, servers)

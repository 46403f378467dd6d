"""The embeddings route: the same way as chat, and answers of any size."""

import json
from collections.abc import Iterator

import pytest

from sallyport.gateway.assembly.provider_route import Clocks, provider_route
from sallyport.gateway.operations import EMBEDDINGS
from tests.functional.router.gateway import KEY, REQUESTS, TOKENS, Upstream, counters, environ, frozen
from tests.support.aws import Emulator
from tests.support.events import ACME, Context, proxy_event
from tests.support.servers import ScriptedServer

BODY = {"model": "emb-a", "input": ["a", "b"]}


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def server(upstream: Upstream) -> Iterator[ScriptedServer]:
    with ScriptedServer(upstream) as running:
        yield running


def test_an_answer_of_30_mb_is_passed_on_in_pieces(store: Emulator, upstream: Upstream, server: ScriptedServer) -> None:
    upstream.body = b'{"data": "' + b"x" * 30_000_000 + b'"}'
    route = provider_route(EMBEDDINGS)(environ(store, server.url))
    response = route(proxy_event("POST", "/v1/embeddings", BODY), Context())
    pieces = list(response.body)
    assert b"".join(pieces) == upstream.body
    assert max(map(len, pieces)) <= 65_536
    assert upstream.received[0].target == "/v1/embeddings"


def test_an_embedding_is_charged_its_input(store: Emulator, upstream: Upstream, server: ScriptedServer) -> None:
    upstream.body = b'{"data": [], "usage": {"prompt_tokens": 4, "total_tokens": 4}}'
    changes = {"SALLYPORT_TOKENS_PER_MINUTE": "1000", "SALLYPORT_MAX_OUTPUT_TOKENS": "5000"}
    route = provider_route(EMBEDDINGS, Clocks(now_s=frozen))(environ(store, server.url, **changes))
    context = Context()
    response = route(proxy_event("POST", "/v1/embeddings", {**BODY, "input": [[1, 2], [3]]}), context)
    assert counters(store, KEY)[TOKENS] == 3
    assert b"".join(response.body) == upstream.body
    context.finish()
    assert counters(store, KEY) == {TOKENS: 4, REQUESTS: 1}


@pytest.mark.parametrize("given", [[1.0, 2], ["a", 1e300], [[1.0]]])
def test_a_token_that_only_looks_like_a_fraction_is_counted(
    store: Emulator, upstream: Upstream, server: ScriptedServer, given: object
) -> None:
    route = provider_route(EMBEDDINGS)(environ(store, server.url, SALLYPORT_TOKENS_PER_MINUTE="1000"))
    assert route(proxy_event("POST", "/v1/embeddings", {**BODY, "input": given}), Context()).status == 200


@pytest.mark.parametrize(
    ("body", "scopes", "code"),
    [
        ({"model": "emb-a"}, ("embeddings",), "invalid_request"),
        (BODY, ("chat",), "insufficient_scope"),
    ],
)
def test_what_is_refused_goes_nowhere(
    store: Emulator, upstream: Upstream, server: ScriptedServer, body: object, scopes: tuple[str, ...], code: str
) -> None:
    route = provider_route(EMBEDDINGS)(environ(store, server.url))
    principal = ACME._replace(scopes=scopes)
    response = route(proxy_event("POST", "/v1/embeddings", body, principal=principal), Context())
    assert json.loads(b"".join(response.body))["error"]["code"] == code
    assert upstream.received == []

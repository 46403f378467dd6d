"""/v1/responses: what an upstream keeps belongs to one tenant, and is gone on from at the target that keeps it."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from sallyport.gateway.assembly.provider_route import provider_route
from sallyport.gateway.operations import RESPONSES
from tests.functional.router.gateway import Answered, Upstream, apply_policy, drain, environ
from tests.support.aws import Emulator
from tests.support.events import ACME, Context, proxy_event
from tests.support.servers import ScriptedServer

ASKED = {"model": "gpt-a", "input": "prompt-secret"}
ANSWER = b'{"id": "resp_1", "object": "response", "usage": {"input_tokens": 3, "output_tokens": 4}}'
CREATED = b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1"}}\n\n'
COMPLETED = (
    b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_1",'
    b'"usage":{"input_tokens":3,"output_tokens":4}}}\n\n'
)
OTHER = ACME._replace(tenant="globex")

type Post = Callable[..., Answered]


@pytest.fixture
def upstreams(store: Emulator) -> Iterator[tuple[Upstream, Upstream]]:
    keeping, forgetting = Upstream(), Upstream()
    keeping.body = forgetting.body = ANSWER
    with ExitStack() as servers:
        urls = [servers.enter_context(ScriptedServer(upstream)).url for upstream in (keeping, forgetting)]
        apply_policy(
            store,
            f"""
upstreams:
  keeping: {{provider: openai, base_url: "{urls[0]}/v1", region: us-east-1, store: true}}
  forgetting: {{provider: openai, base_url: "{urls[1]}/v1", region: us-east-1}}
models:
  gpt-a: {{targets: [{{upstream: keeping}}]}}
  gpt-b: {{targets: [{{upstream: forgetting}}]}}
  gpt-c: {{targets: [{{upstream: keeping, model: other}}]}}
""",
        )
        yield keeping, forgetting


@pytest.fixture
def post(store: Emulator, upstreams: tuple[Upstream, Upstream]) -> Post:
    route = provider_route(RESPONSES)(environ(store, "http://127.0.0.1:9", SALLYPORT_UPSTREAM_SECRET=""))

    def send(body: Any, **options: Any) -> Answered:
        context = Context()
        answered = drain(route(proxy_event("POST", "/v1/responses", body, **options), context))
        context.finish()
        return answered

    return send


def sent(upstream: Upstream) -> Any:
    return json.loads(upstream.received[-1].body)


def test_a_response_passes_through_and_is_not_kept_unless_its_upstream_may(
    post: Post, upstreams: tuple[Upstream, Upstream]
) -> None:
    assert post({**ASKED, "model": "gpt-b", "store": True}).body == ANSWER
    assert sent(upstreams[1]) == {**ASKED, "model": "gpt-b", "store": False}
    assert upstreams[1].received[0].target == "/v1/responses"


def test_its_own_tenant_goes_on_from_a_response_that_is_kept(post: Post, upstreams: tuple[Upstream, Upstream]) -> None:
    post(ASKED)
    assert sent(upstreams[0]) == ASKED
    assert post({**ASKED, "previous_response_id": "resp_1"}).status == 200
    assert sent(upstreams[0])["previous_response_id"] == "resp_1"


def test_a_streamed_response_can_be_gone_on_from_too(post: Post, upstreams: tuple[Upstream, Upstream]) -> None:
    upstreams[0].chunks = [CREATED, COMPLETED]
    assert post({**ASKED, "stream": True}).body == CREATED + COMPLETED
    upstreams[0].chunks = None
    assert post({**ASKED, "previous_response_id": "resp_1"}).status == 200


@pytest.mark.parametrize("previous", ["resp_unknown", "", "x" * 300])
def test_a_response_that_nobody_has_is_refused(post: Post, upstreams: tuple[Upstream, Upstream], previous: str) -> None:
    answered = post({**ASKED, "previous_response_id": previous})
    assert answered.status == 400
    assert json.loads(answered.body)["error"]["param"] == "previous_response_id"
    assert upstreams[0].received == []


def test_another_tenants_response_is_as_unknown_as_none(post: Post, upstreams: tuple[Upstream, Upstream]) -> None:
    post(ASKED)
    unknown = post({**ASKED, "previous_response_id": "resp_unknown"}, principal=OTHER)
    foreign = post({**ASKED, "previous_response_id": "resp_1"}, principal=OTHER)
    assert (foreign.status, foreign.body) == (unknown.status, unknown.body)
    assert len(upstreams[0].received) == 1


@pytest.mark.parametrize("model", ["gpt-b", "gpt-c"])
def test_a_response_of_another_target_is_refused(post: Post, upstreams: tuple[Upstream, Upstream], model: str) -> None:
    post(ASKED)
    answered = post({**ASKED, "model": model, "previous_response_id": "resp_1"})
    assert (answered.status, answered.code) == (400, "unsupported_field")
    assert len(upstreams[0].received) + len(upstreams[1].received) == 1


def test_a_response_that_its_client_does_not_want_kept_cannot_be_gone_on_from(post: Post) -> None:
    post({**ASKED, "store": False})
    assert post({**ASKED, "previous_response_id": "resp_1"}).status == 400


@pytest.mark.parametrize(
    ("field", "value"), [("background", True), ("conversation", "conv_1"), ("conversation", {"id": "conv_1"})]
)
def test_what_would_be_kept_for_nobody_knows_whom_is_refused(
    post: Post, upstreams: tuple[Upstream, Upstream], field: str, value: Any
) -> None:
    answered = post({**ASKED, field: value})
    assert (answered.status, answered.code) == (400, "unsupported_field")
    assert json.loads(answered.body)["error"]["param"] == field
    assert upstreams[0].received == []


def test_a_stream_that_breaks_off_ends_with_an_event_of_its_own_api(
    post: Post, upstreams: tuple[Upstream, Upstream]
) -> None:
    upstreams[0].chunks, upstreams[0].cut = [CREATED], True
    answered = post({**ASKED, "stream": True})
    assert answered.in_band.startswith(b"event: error\ndata: ")
    assert json.loads(answered.in_band.partition(b"data: ")[2])["code"] == "upstream_interrupted"


def test_a_response_whose_first_event_comes_in_pieces_can_be_gone_on_from(
    post: Post, upstreams: tuple[Upstream, Upstream]
) -> None:
    upstreams[0].chunks = [b": keep-alive\n\n", CREATED[:20], CREATED[20:60], CREATED[60:], COMPLETED]
    post({**ASKED, "stream": True})
    upstreams[0].chunks = None
    assert post({**ASKED, "previous_response_id": "resp_1"}).status == 200

"""External guards over real sockets: slow ones, broken ones, huge ones, and those that send elsewhere."""

import json
import threading
import time
from collections.abc import Callable

import pytest

from sallyport.adapters.upstream_http import HttpTransport
from sallyport.errors import GuardUnavailableError, PromptRefusedError
from sallyport.gateway.decisions import Decisions, Subject
from sallyport.gateway.guard_contract import MAX_ANSWER_BYTES, Prompt
from sallyport.gateway.guard_hooks import Asking, GuardHooks
from sallyport.gateway.upstreams import NoSecret, Upstream, Upstreams
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.policy.verification_rules import GuardHookRules
from sallyport.routing.residency import Caller
from tests.support.servers import Peer, Received, ScriptedServer, refused_url, serve
from tests.unit.gateway.guards import FRA, PROMPT, Told

TIMEOUT_MS = 400
JSON_TYPE = {"content_type": "application/json"}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


class Asked:
    """A guard at a URL, asked as often as a test wants."""

    def __init__(self, url: str, on_failure: str = "open") -> None:
        self._rules = UpstreamRules("g", "guard", f"{url}/check", FRA)
        self._router = RouterRules(1, (), {}, None, upstreams={"g": self._rules}, allowed_regions=frozenset({FRA}))
        self._guard = GuardHookRules("slow", "g", TIMEOUT_MS, on_failure)
        transport = HttpTransport(url, 5, 30)
        self._hooks = GuardHooks(Upstreams(lambda rules: Upstream(rules, "host", None, transport, NoSecret())))

    def check(self, remaining_s: Callable[[], float] = lambda: 30.0, prompt: Prompt = PROMPT) -> list[str]:
        decisions = Decisions(Told([]), "r-1", "chat_completions", FRA)
        decisions.begin(Subject("acme", (FRA,), 1, None), ())
        asking = Asking(self._router, Caller("acme", (FRA,)), decisions, remaining_s)
        return [str(one) for one in self._hooks.check([self._guard], prompt, asking)]


def failing(script: Callable[[Peer], None]) -> str:
    """Give why a guard that behaves so gave no verdict."""
    with ScriptedServer(script) as server:
        _, reason = Asked(server.url).check()
    return reason


def after_reading(then: Callable[[Peer], None]) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.read()
        then(peer)

    return script


def test_a_guard_is_asked_over_one_kept_connection() -> None:
    received: list[Received] = []
    with ScriptedServer(
        serve(lambda _, peer: peer.answer(200, b'{"action":"allow"}', **JSON_TYPE), received)
    ) as server:
        guard = Asked(server.url)
        assert (guard.check(), guard.check()) == ([], [])
        assert server.connections == 1
    assert [(one.method, one.target) for one in received] == [("POST", "/check")] * 2
    assert json.loads(received[0].body)["texts"][1]["text"] == "Grüße \U0001f600"


def test_a_block_is_read_in_whatever_pieces_it_comes() -> None:
    def answer(peer: Peer) -> None:
        peer.send(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        for byte in b'{"action": "block"}':
            peer.chunk(bytes([byte]))
        peer.chunk(b"")

    with ScriptedServer(after_reading(answer)) as server, pytest.raises(PromptRefusedError):
        Asked(server.url).check()


def _sends(data: bytes, then: Callable[[Peer], None] = Peer.wait_closed) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.send(data)
        then(peer)

    return script


SILENT: dict[str, Callable[[Peer], None]] = {
    "no head": Peer.wait_closed,
    "half a head": _sends(HEAD),
    "no body": _sends(HEAD + b"content-length: 18\r\n\r\n"),
    "a dripping head": lambda peer: peer.drip(b"HTTP/1.1 200 OK\r\nx: y\r\n"),
    "a dripping body": _sends(HEAD + b"content-length: 60000\r\n\r\n", lambda peer: peer.drip(b" ")),
    "early hints for ever": lambda peer: peer.drip(b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.001),
}


@pytest.mark.parametrize("case", SILENT)
def test_a_slow_guard_has_one_deadline_for_all_of_its_answer(case: str) -> None:
    begun_s = time.monotonic()
    reason = failing(after_reading(SILENT[case]))
    assert time.monotonic() - begun_s < 5 * TIMEOUT_MS / 1000
    assert reason in {"guards/slow/timed_out 1", "guards/slow/invalid_response 1"}
    assert case == "early hints for ever" or reason == "guards/slow/timed_out 1"


def test_a_guard_that_reads_nothing_holds_nobody() -> None:
    asked = threading.Event()

    def script(_: Peer) -> None:
        asked.wait(30)

    with ScriptedServer(script) as server:
        found = Asked(server.url).check(prompt=PROMPT._replace(texts=[("user", "x" * 20_000_000)]))
        asked.set()
    assert found[1] == "guards/slow/timed_out 1"


def test_a_huge_answer_is_left() -> None:
    def answer(peer: Peer) -> None:
        peer.send(HEAD + b"\r\n" + b'{"action":"allow"}')
        while True:
            peer.send(b" " * 65_536)

    assert failing(after_reading(answer)) == "guards/slow/answer_too_large 1"
    assert MAX_ANSWER_BYTES == 65_536


def test_a_redirect_is_not_followed() -> None:
    received: list[Received] = []
    with ScriptedServer(serve(lambda _, peer: peer.answer(200, b'{"action":"allow"}', **JSON_TYPE), received)) as other:
        reason = failing(after_reading(lambda peer: peer.answer(307, b"", location=f"{other.url}/check")))
        assert other.connections == 0
    assert (reason, received) == ("guards/slow/status_307 1", [])


def test_a_guard_that_closes_gave_no_verdict() -> None:
    assert failing(after_reading(lambda peer: peer.close())) == "guards/slow/unreachable 1"
    cut = HEAD + b"content-length: 18\r\n\r\n" + b'{"action":"allow"'
    assert failing(after_reading(lambda peer: peer.send(cut))) == "guards/slow/interrupted 1"


def test_what_is_no_http_gave_no_verdict() -> None:
    assert failing(after_reading(lambda peer: peer.send(b"SSH-2.0-x\r\n\r\n"))) == "guards/slow/invalid_response 1"


def test_a_guard_that_isnt_there_refuses_where_it_must_be_asked() -> None:
    with pytest.raises(GuardUnavailableError):
        Asked(refused_url(), "closed").check()
    assert Asked(refused_url()).check()[1] == "guards/slow/unreachable 1"


def test_after_a_broken_answer_the_next_question_gets_its_own() -> None:
    answers = iter([b'{"action":"block"}' + b" " * 1_000_000, b'{"action":"allow"}'])
    received: list[Received] = []
    with ScriptedServer(serve(lambda _, peer: peer.answer(200, next(answers), **JSON_TYPE), received)) as server:
        guard = Asked(server.url)
        assert guard.check()[1] == "guards/slow/answer_too_large 1"
        assert guard.check() == []
        assert server.connections == 2

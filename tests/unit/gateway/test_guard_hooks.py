"""Asking external guards: what they get, what their answers mean, where they may be, what stands in the audit trail."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import (
    DeadlineExceededError,
    GuardUnavailableError,
    PromptRefusedError,
    ResidencyViolationError,
    SallyportError,
    SecretUnavailableError,
    UpstreamInterruptedError,
    UpstreamInvalidResponseError,
    UpstreamNotConnectedError,
    UpstreamTimeoutError,
)
from sallyport.gateway.assembly.upstreams import make_upstreams
from sallyport.gateway.guard_contract import MAX_ANSWER_BYTES
from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.routing.residency import Caller
from tests.unit.gateway.guards import ALLOW, BLOCK, FRA, IRL, PROMPT, USA, FakeAnswer, FakeTransport, Scene, saying

JSON = {"content-type": "application/json"}


@dataclass
class Secrets:
    """A secret that has another value once it is expired."""

    values: list[str]
    expired: int = 0

    def read(self) -> str:
        if not self.values:
            raise SecretUnavailableError("none")
        return self.values[min(self.expired, len(self.values) - 1)]

    def expire(self) -> None:
        self.expired += 1


def test_a_guard_gets_the_prompt_and_allows_it() -> None:
    scene = Scene(FakeAnswer(ALLOW))
    assert scene.check() == []
    (request,) = scene.requests
    assert (request.method, request.target) == ("POST", "/v1/check")
    assert request.headers == {
        "host": "guard.example", "user-agent": "sallyport", "content-type": "application/json",
        "accept": "application/json", "accept-encoding": "identity",
    }  # fmt: skip
    assert json.loads(request.body) == {
        "request_id": "r-1",
        "route": "chat_completions",
        "model": "gpt-4o",
        "tenant": "acme",
        "texts": [{"role": "system", "text": "Be kind."}, {"role": "user", "text": "Grüße \U0001f600"}],
    }


def test_a_url_without_a_path_is_its_root() -> None:
    scene = Scene(FakeAnswer(ALLOW), base_url="https://guard.example")
    scene.check()
    assert scene.requests[0].target == "/"


def test_without_guards_nothing_is_asked_and_nothing_on_record() -> None:
    scene = Scene(regions=())
    assert scene.check(prompt=PROMPT._replace(texts=_never())) == []
    assert scene.events == []


def _never() -> Any:
    raise AssertionError("texts were read")
    yield


@pytest.mark.parametrize(("header", "sent"), [("", ("authorization", "Bearer s3")), ("x-api-key", ("x-api-key", "s3"))])
def test_a_guard_gets_its_secret(header: str, sent: tuple[str, str]) -> None:
    scene = Scene(FakeAnswer(ALLOW), secret=Secrets(["s3"]), credential_header=header)
    scene.check()
    assert sent in scene.requests[0].headers.items()


def test_a_block_refuses_and_names_the_guard() -> None:
    scene = Scene(FakeAnswer(BLOCK), regions=(FRA, FRA))
    with pytest.raises(PromptRefusedError) as caught:
        scene.check()
    assert caught.value.message == "The guard 'first' doesn't let this prompt pass."
    assert caught.value.findings == ("guards/first/blocked 1",)
    assert len(scene.requests) == 1, "the second isn't asked any more"
    assert [record["verdict"] for record in scene.records] == ["forward", "refuse"]
    assert scene.records[-1]["code"] == "prompt_refused"


def test_a_reason_code_is_told() -> None:
    with pytest.raises(PromptRefusedError, match=r"pass \(jailbreak\)\.$") as caught:
        Scene(saying(action="block", reason_code="jailbreak", score=0.9)).check()
    assert caught.value.findings == ("guards/first/jailbreak 1",)


def test_a_guard_that_allows_may_give_a_reason_for_the_log() -> None:
    assert Scene(saying(action="allow", reason_code="slight_doubt")).check() == ["guards/first/slight_doubt 1"]


@pytest.mark.parametrize("code", ["the user wrote: hunter2", "A", "", "x" * 41, "a\n", 7, None, ["a"], {}])
def test_a_reason_that_is_no_code_is_told_to_nobody_and_blocks_all_the_same(code: Any) -> None:
    with pytest.raises(PromptRefusedError) as caught:
        Scene(saying(action="block", reason_code=code), on_failure="open").check()
    assert caught.value.findings == ("guards/first/blocked 1",)
    assert caught.value.message.endswith("doesn't let this prompt pass.")


BROKEN: dict[str, tuple[FakeAnswer | Exception, str]] = {
    "empty": (FakeAnswer(), "invalid_answer"),
    "no JSON": (FakeAnswer(b"allow"), "invalid_answer"),
    "no UTF-8": (FakeAnswer(b'{"action":"allow","a":"\xff"}'), "invalid_answer"),
    "two values": (FakeAnswer(ALLOW + ALLOW), "invalid_answer"),
    "a name twice": (FakeAnswer(b'{"action":"block","action":"allow"}'), "invalid_answer"),
    "NaN": (FakeAnswer(b'{"action":"allow","score":NaN}'), "invalid_answer"),
    "deep": (FakeAnswer(b'{"action":"allow","a":' + b"[" * 5000 + b"]" * 5000 + b"}"), "invalid_answer"),
    "a list": (FakeAnswer(b'["allow"]'), "invalid_answer"),
    "no action": (FakeAnswer(b"{}"), "invalid_answer"),
    "another action": (FakeAnswer(b'{"action":"ALLOW"}'), "invalid_answer"),
    "an action that is none": (FakeAnswer(b'{"action":true}'), "invalid_answer"),
    "an action in a list": (FakeAnswer(b'{"action":["allow"]}'), "invalid_answer"),
    "a page": (FakeAnswer(ALLOW, headers={"content-type": "text/html"}), "invalid_answer"),
    "no type": (FakeAnswer(ALLOW, headers={}), "invalid_answer"),
    "compressed": (FakeAnswer(ALLOW, headers={**JSON, "content-encoding": "gzip"}), "invalid_answer"),
    "created": (FakeAnswer(ALLOW, status=201), "status_201"),
    "nothing": (FakeAnswer(status=204), "status_204"),
    "redirect": (FakeAnswer(ALLOW, status=307, headers={**JSON, "location": "https://x.example"}), "status_307"),
    "failure": (FakeAnswer(ALLOW, status=500), "status_500"),
    "refused": (FakeAnswer(ALLOW, status=401), "credential_refused"),
    "huge": (FakeAnswer(*[b" " * 1024] * 80), "answer_too_large"),
    "away": (UpstreamNotConnectedError("x"), "unreachable"),
    "no HTTP": (UpstreamInvalidResponseError("x"), "invalid_response"),
    "late": (UpstreamTimeoutError("x"), "timed_out"),
    "later": (FakeAnswer(b'{"action":', DeadlineExceededError("x")), "timed_out"),
    "broken off": (FakeAnswer(b'{"action":', UpstreamInterruptedError("x")), "interrupted"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("on_failure", ["closed", "open"])
def test_an_answer_that_is_none_means_what_the_rule_says(case: str, on_failure: str) -> None:
    answer, kind = BROKEN[case]
    scene = Scene(answer, FakeAnswer(ALLOW), regions=(FRA, FRA), on_failure=on_failure)
    findings = ["guards/first/unavailable 1", f"guards/first/{kind} 1"]
    if on_failure == "open":
        assert scene.check() == findings
        assert scene.kinds == ["decision", "sent", "decision", "sent"], "the next guard is asked"
    else:
        with pytest.raises(GuardUnavailableError) as caught:
            scene.check()
        assert list(caught.value.findings) == findings
        assert (caught.value.status, scene.kinds) == (503, ["decision", "sent", "decision"])
        assert scene.records[-1]["code"] == "guard_unavailable"
    assert isinstance(answer, Exception) or answer.is_closed


def test_no_more_of_an_answer_is_read_than_is_held() -> None:
    answer = FakeAnswer(*[b" " * 1024] * 1000)
    with pytest.raises(GuardUnavailableError):
        Scene(answer).check()
    assert answer.given == MAX_ANSWER_BYTES // 1024 + 1


def test_the_largest_answer_is_read() -> None:
    assert Scene(FakeAnswer(ALLOW + b" " * (MAX_ANSWER_BYTES - len(ALLOW)))).check() == []


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_answer_breaks_the_gateway_or_lets_a_prompt_pass_a_closed_guard(body: bytes) -> None:
    with pytest.raises(GuardUnavailableError):
        Scene(FakeAnswer(body)).check()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    ),
    st.sampled_from(["allow", "block"]),
)
def test_what_a_guard_says_beside_its_action_changes_nothing(extra: Any, action: str) -> None:
    scene = Scene(saying(more=extra, action=action))
    if action == "allow":
        assert scene.check() == []
    else:
        with pytest.raises(PromptRefusedError):
            scene.check()


def test_a_guard_may_wait_as_long_as_its_rule_or_the_request_says() -> None:
    for left_s, wait_s in ((60.0, 0.8), (0.3, 0.3)):
        scene = Scene(FakeAnswer(ALLOW))
        scene.check(lambda left_s=left_s: left_s)  # type: ignore[misc]
        assert isinstance(scene.transport, FakeTransport)
        assert scene.transport.waits == [pytest.approx(wait_s)]


@pytest.mark.parametrize("on_failure", ["closed", "open"])
def test_a_request_whose_own_time_is_up_ends_whatever_the_rule_says(on_failure: str) -> None:
    scene = Scene(on_failure=on_failure)
    with pytest.raises(DeadlineExceededError):
        scene.check(lambda: 0.0)
    assert scene.requests == []
    left = iter([5.0, 5.0, 5.0, 0.0])
    late = Scene(DeadlineExceededError("x"), on_failure=on_failure)
    with pytest.raises(DeadlineExceededError):
        late.check(lambda: next(left))


def test_a_secret_that_cant_be_read_is_a_failure_of_the_guard() -> None:
    scene = Scene(secret=Secrets([]), on_failure="open")
    assert scene.check() == ["guards/first/unavailable 1", "guards/first/secret_unavailable 1"]
    assert scene.events == [], "nothing was sent, so nothing is on record"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_secret_is_read_anew_and_asked_with_once(status: int) -> None:
    scene = Scene(FakeAnswer(status=status), FakeAnswer(ALLOW), secret=Secrets(["old", "new"]))
    assert scene.check() == []
    assert [request.headers["authorization"] for request in scene.requests] == ["Bearer old", "Bearer new"]
    assert scene.kinds == ["decision", "sent", "decision", "sent"], "every sending is on record"
    again = Scene(FakeAnswer(status=status), FakeAnswer(status=status), secret=Secrets(["old", "new", "newer"]))
    with pytest.raises(GuardUnavailableError):
        again.check()
    assert len(again.requests) == 2


def test_a_guard_is_on_record_before_it_is_sent_anything() -> None:
    scene = Scene(FakeAnswer(ALLOW))
    scene.check()
    assert scene.kinds == ["decision", "sent"]
    assert scene.records == [
        {
            "request_id": "r-1", "route": "chat_completions", "home": FRA, "tenant": "acme", "residency": [FRA, IRL],
            "policy_version": 7, "alias": "gpt-4o", "considered": [f"at-first/ {FRA} eligible"],
            "upstream": "at-first", "region": FRA, "regions": [FRA], "verdict": "forward", "host": "guard.example",
            "basis": "declared", "guard": "first",
        }
    ]  # fmt: skip


@pytest.mark.parametrize("failure", [OSError("full"), GuardUnavailableError("x")])
def test_what_cant_be_recorded_isnt_sent(failure: Exception) -> None:
    scene = Scene(FakeAnswer(ALLOW), on_failure="open", audit_failure=failure)
    with pytest.raises(type(failure)):
        scene.check()
    assert scene.requests == []


def test_a_guard_outside_of_the_residency_never_gets_the_prompt() -> None:
    scene = Scene(FakeAnswer(ALLOW), regions=(FRA, USA))
    with pytest.raises(ResidencyViolationError) as caught:
        scene.check()
    assert caught.value.findings == ("guards/second/outside_residency 1",)
    assert scene.requests == [], "nor does the first, for nothing"
    (record,) = scene.records
    assert (record["verdict"], record["code"]) == ("refuse", "residency_violation")
    assert record["considered"] == [f"at-first/ {FRA} eligible", f"at-second/ {USA} outside_residency"]


def test_an_open_guard_outside_of_the_residency_is_passed_over() -> None:
    scene = Scene(FakeAnswer(ALLOW), regions=(USA, FRA), on_failure="open")
    assert scene.check() == ["guards/first/outside_residency 1"]
    assert [record["upstream"] for record in scene.records] == ["at-second"]
    assert scene.records[0]["considered"][0] == f"at-first/ {USA} outside_residency"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"allowed_regions": frozenset({IRL})}, "outside_allowed_regions"), ({"upstreams": {}}, "unknown_upstream")],
)
def test_a_guard_is_judged_as_every_other_place_is(changes: dict[str, Any], kind: str) -> None:
    scene = Scene(on_failure="open")
    scene.rules = scene.rules._replace(**changes)
    assert scene.check() == [f"guards/first/{kind} 1"]
    assert scene.events == []


def test_an_upstream_of_another_kind_is_no_guard() -> None:
    scene = Scene()
    openai = scene.rules.upstreams["at-first"]._replace(provider="openai")
    scene.rules = scene.rules._replace(upstreams={"at-first": openai})
    with pytest.raises(ResidencyViolationError):
        scene.check()


def test_the_outcome_of_a_request_that_only_a_guard_saw_names_the_guard() -> None:
    scene = Scene(FakeAnswer(ALLOW))
    scene.check()
    scene.decisions.end(status=429, code="rate_limit_exceeded")
    (outcome,) = [what for kind, what in scene.events if kind == "outcome"]
    assert outcome == {
        "request_id": "r-1", "route": "chat_completions", "tenant": "acme", "guard": "first", "attempts": 0,
        "status": 429, "code": "rate_limit_exceeded",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["\x00\x1f", "\u202e", "\U0010ffff", '"\\', "ä" * 1000])
def test_every_text_arrives_as_it_is(text: str) -> None:
    scene = Scene(FakeAnswer(ALLOW))
    scene.check(prompt=PROMPT._replace(texts=[("user", text)]))
    assert json.loads(scene.requests[0].body)["texts"] == [{"role": "user", "text": text}]


def test_no_word_of_the_prompt_or_of_the_guard_is_told() -> None:
    scene = Scene(saying(action="block", reason_code="hunter2 is bad", message="hunter2"))
    prompt = PROMPT._replace(texts=[("user", "my password is hunter2")])
    with pytest.raises(SallyportError) as caught:
        scene.check(prompt=prompt)
    assert "hunter2" not in repr((caught.value.message, caught.value.findings, scene.records))


def test_a_guard_s_upstream_speaks_no_model_s_api() -> None:
    upstreams = make_upstreams({}, 1, 1, lambda: 1.0, lambda: 0.0)
    upstream = upstreams.get(UpstreamRules("g", "guard", "https://guard.example:8443/check", FRA))
    assert (upstream.provider, upstream.host, upstream.secret.read()) == (None, "guard.example:8443", "")


REGIONS = st.sampled_from([FRA, IRL, USA])


@given(
    st.lists(REGIONS, min_size=1, max_size=3),
    st.sets(REGIONS),
    st.sets(REGIONS),
    st.lists(st.sampled_from(["closed", "open"]), min_size=3, max_size=3),
    st.lists(st.sampled_from([ALLOW, BLOCK, b"", b"{}"]), min_size=3, max_size=3),
)
def test_wherever_guards_are_none_outside_gets_a_prompt_and_each_sending_is_on_record(
    regions: list[str], residency: set[str], allowed: set[str], failures: list[str], answers: list[bytes]
) -> None:
    scene = Scene(*map(FakeAnswer, answers), regions=regions)
    scene.guards = [guard._replace(on_failure=how) for guard, how in zip(scene.guards, failures, strict=False)]
    scene.rules = scene.rules._replace(allowed_regions=frozenset(allowed))
    inside = [region in residency & allowed for region in regions]
    must_be_asked = [guard.on_failure == "closed" for guard in scene.guards]
    refused: SallyportError | None = None
    try:
        scene.check(caller=Caller("acme", tuple(sorted(residency))))
    except SallyportError as error:
        refused = error
    asked = [record["region"] for record in scene.records if record["verdict"] == "forward"]
    expected = [region for region, is_inside in zip(regions, inside, strict=True) if is_inside]
    assert asked == expected[: len(asked)]
    assert "".join(kind[0] for kind in scene.kinds).removesuffix("d") == "ds" * len(asked)
    if any(closed and not is_inside for closed, is_inside in zip(must_be_asked, inside, strict=True)):
        assert (type(refused), asked) == (ResidencyViolationError, [])
    elif refused is None:
        assert asked == expected

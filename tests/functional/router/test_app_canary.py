"""An app's canary: another upstream of the same app, over real sockets."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sallyport.policy.canary_rules import CanaryRules, CanaryStep
from sallyport.policy.upstream_rules import Target, UpstreamRules
from tests.functional.router.app_gateway import CALLER, SECRET, App, AppGateway, FixedSecret, problem
from tests.support.events import Context
from tests.support.servers import ScriptedServer, refused_url


class Pair:
    """The app, its newer version, and the gateway before them."""

    def __init__(self, urls: tuple[str, str]) -> None:
        self.app, self.newer = App(), App()
        self.newer.body = b'{"newer": true}'
        self.urls = urls

    def gateway(self, weight: int = 9_999, *, region: str = "us-east-1", provider: str = "app") -> AppGateway:
        gateway = AppGateway(self.app, self.urls[0])
        newer = UpstreamRules("newer", provider, self.urls[1] + "/base", region, "stack/upstreams/newer")
        target = Target("newer", "", (region,))
        canary = CanaryRules("next", (), (), ("summarizer",), target, {}, (CanaryStep(weight),))
        return gateway.under(upstreams={**gateway.rules.upstreams, "newer": newer}, canaries=(canary,))

    @property
    def reached(self) -> tuple[int, int]:
        return len(self.app.received), len(self.newer.received)


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair(("", ""))
    with ScriptedServer(pair.app) as first, ScriptedServer(pair.newer) as second:
        pair.urls = (first.url, second.url)
        yield pair


def told(gateway: AppGateway) -> tuple[Any, ...]:
    line = gateway.log_line()
    return tuple(line.get(name) for name in ("canary", "arm", "canary_note", "upstream"))


def outcomes(gateway: AppGateway) -> list[tuple[str, int, int, int]]:
    """Give what was counted: arm, requests, failures, requests whose time is known."""
    return [(place.arm, one.requests, one.failed, sum(one.histogram)) for place, one in gateway.counted.counted]


def test_a_request_on_the_canary_goes_to_the_newer_app_signed_with_its_own_secret(pair: Pair) -> None:
    gateway = pair.gateway()
    gateway.other_secrets["newer"] = FixedSecret("another-apps-signing-secret-of-some-length")
    answered = gateway.ask("POST", body={"a": 1})
    assert (answered.body, pair.reached) == (b'{"newer": true}', (0, 1))
    assert answered.headers["x-sallyport-canary"] == "next=canary"
    assert told(gateway) == ("next", "canary", None, "newer")
    (decision,) = gateway.trail.decisions
    assert (decision["upstream"], decision["canary"], decision["arm"]) == ("newer", "next", "canary")
    assert decision["considered"] == ["my-app/ us-east-1 eligible", "newer/ us-east-1 eligible"]
    assert outcomes(gateway) == [("canary", 1, 0, 1)]
    plain = pair.gateway()
    plain.ask("POST", body={"a": 1})
    first, second = pair.newer.received
    assert first.headers["x-sallyport-signature"] != second.headers["x-sallyport-signature"]
    assert "x-sallyport-canary" not in second.headers


def test_a_request_on_stable_goes_to_the_app(pair: Pair) -> None:
    gateway = pair.gateway(1)
    answered = gateway.ask("GET")
    assert (answered.headers["x-sallyport-canary"], pair.reached) == ("next=stable", (1, 0))
    assert outcomes(gateway) == [("stable", 1, 0, 1)]


def test_another_app_has_no_part_in_it(pair: Pair) -> None:
    gateway = pair.gateway()
    app = gateway.rules.apps["summarizer"]
    gateway.under(apps={"summarizer": app, "other": app})
    context = Context()
    response = gateway.begin("GET", name="other", context=context)
    assert (response.status, list(response.body)) == (200, [b'{"ok": true}'])
    context.finish()
    assert "x-sallyport-canary" not in response.headers
    assert (pair.reached, outcomes(gateway)) == ((1, 0), [])


@pytest.mark.parametrize("weight", [1, 9_999])
@pytest.mark.parametrize(
    ("options", "principal", "note"),
    [
        ({"region": "eu-central-1"}, CALLER, "outside_residency"),
        (
            {"region": "eu-central-1"},
            CALLER._replace(residency=("us-east-1", "eu-central-1")),
            "outside_allowed_regions",
        ),
        ({"provider": "openai"}, CALLER, "operation_unsupported"),
    ],
)
def test_an_app_that_its_caller_may_not_use_is_not_offered(
    pair: Pair, options: dict[str, str], principal: Any, note: str, weight: int
) -> None:
    gateway = pair.gateway(weight, **options)
    answered = gateway.ask("GET", principal=principal)
    assert (answered.status, answered.headers["x-sallyport-canary"], pair.reached) == (200, "next=stable", (1, 0))
    assert told(gateway) == ("next", "stable", note, "my-app")
    assert outcomes(gateway) == []


@pytest.mark.parametrize("secret", [None, "short"])
def test_an_app_without_a_fit_secret_serves_nobody_an_error_and_is_blamed(pair: Pair, secret: str | None) -> None:
    gateway = pair.gateway()
    gateway.other_secrets["newer"] = FixedSecret(secret)
    answered = gateway.ask("GET")
    assert (answered.status, answered.headers["x-sallyport-canary"], pair.reached) == (200, "next=stable", (1, 0))
    assert told(gateway) == ("next", "stable", "upstream_secret_unavailable", "my-app")
    assert outcomes(gateway) == [("canary", 1, 1, 0)]


def test_a_stable_app_without_a_fit_secret_is_blamed_too(pair: Pair) -> None:
    gateway = pair.gateway(1)
    gateway.secret.text = None
    gateway.other_secrets["newer"] = FixedSecret(SECRET)
    assert problem(gateway.ask("GET")) == (503, "upstream_secret_unavailable")
    assert (pair.reached, outcomes(gateway)) == ((0, 0), [("stable", 1, 1, 0)])


@pytest.mark.parametrize(("status", "failed"), [(204, 0), (404, 0), (429, 0), (500, 1), (503, 1)])
def test_an_app_is_blamed_for_its_own_errors_alone(pair: Pair, status: int, failed: int) -> None:
    pair.newer.status, pair.newer.body = status, b""
    gateway = pair.gateway()
    assert gateway.ask("GET").status == status
    assert outcomes(gateway) == [("canary", 1, failed, 1)]


@pytest.mark.parametrize("fault", ["cut", "silent", "refused", "encoded"])
def test_an_app_that_gives_no_whole_answer_has_failed(pair: Pair, fault: str) -> None:
    if fault == "cut":
        pair.newer.chunks, pair.newer.cut = [b"data: 1\n\n"], True
    pair.newer.silent = fault == "silent"
    if fault == "encoded":
        pair.newer.headers["content_encoding"] = "gzip"
    if fault == "refused":
        pair.urls = (pair.urls[0], refused_url())
    gateway = pair.gateway()
    gateway.ask("GET")
    assert outcomes(gateway) == [("canary", 1, 1, 1)]
    assert pair.reached[0] == 0


@pytest.mark.parametrize("weight", [1, 9_999])
def test_a_refusal_of_the_gateways_own_is_not_counted(pair: Pair, weight: int) -> None:
    gateway = pair.gateway(weight)
    assert gateway.ask("TRACE").status == 405
    assert (pair.reached, outcomes(gateway)) == ((0, 0), [])


def test_who_has_the_scope_chooses_the_apps_arm(pair: Pair) -> None:
    gateway = pair.gateway(1)
    tester = CALLER._replace(scopes=("apps", "canary"))
    answered = gateway.ask("GET", principal=tester, headers={"x-sallyport-canary": "next"})
    assert (answered.body, outcomes(gateway)) == (b'{"newer": true}', [])
    assert json.loads(gateway.lines[-1])["canary_override"] == "heeded"

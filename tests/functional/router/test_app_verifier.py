"""The verifier of docs/apps.md, run from the page against what the gateway really sends."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sallyport.gateway.app_headers import FORWARDED_HEADERS, RETURNED_HEADERS
from tests.functional.router.app_gateway import CALLER, SECRET, App, AppGateway
from tests.functional.router.gateway import NOW_S
from tests.support.aws import ROOT
from tests.support.servers import Received, ScriptedServer

type Verify = Callable[..., bool]


@pytest.fixture(scope="module")
def verify() -> Verify:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "apps.md").read_text(), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/apps.md", "exec"), names)  # noqa: S102 - the page's own code
    found: Verify = names["is_from_gateway"]
    return found


@pytest.fixture
def gateway() -> Iterator[AppGateway]:
    app = App()
    with ScriptedServer(app) as server:
        yield AppGateway(app, server.url)


def judged(verify: Verify, received: Received, *, age_s: float = 0, keys: tuple[str, ...] = (SECRET,)) -> bool:
    raw = [key.encode() for key in keys]
    return verify(received.method, received.target, received.headers, received.body, raw, NOW_S + age_s)


@pytest.mark.parametrize(
    ("method", "body", "subject"),
    [
        ("GET", None, "demo"),
        ("POST", {"q": "\u00e9"}, "J\u00f6rg 100%"),
        ("DELETE", "", "a b"),
        ("PUT", "x" * 9000, "d"),
    ],
)
def test_the_page_accepts_what_the_gateway_sends(
    gateway: AppGateway, verify: Verify, method: str, body: Any, subject: str
) -> None:
    gateway.ask(
        method, "a%20b/", body, query={"q": ["\u00e9 &"]}, principal=CALLER._replace(subject=subject, key_id="")
    )
    assert judged(verify, gateway.sent())


@pytest.mark.parametrize(
    "name", ["tenant", "subject", "key-id", "scopes", "method", "request-id", "timestamp", "signature"]
)
def test_the_page_refuses_a_header_that_was_changed_or_left_out(gateway: AppGateway, verify: Verify, name: str) -> None:
    gateway.ask("POST", body={"q": 1})
    sent, header = gateway.sent(), f"x-sallyport-{name}"
    changed = "1800000001" if name == "timestamp" else sent.headers[header] + "x"
    assert not judged(verify, sent._replace(headers={**sent.headers, header: changed}))
    assert not judged(
        verify, sent._replace(headers={key: value for key, value in sent.headers.items() if key != header})
    )


@pytest.mark.parametrize(
    "change",
    [{"method": "PUT"}, {"target": "/base/v1/run?a=1"}, {"target": "/base/v1/runs"}, {"body": b'{"q": 2}'}],
)
def test_the_page_refuses_a_request_that_was_changed(
    gateway: AppGateway, verify: Verify, change: dict[str, Any]
) -> None:
    gateway.ask("POST", body={"q": 1})
    assert not judged(verify, gateway.sent()._replace(**change))


@pytest.mark.parametrize(("age_s", "is_accepted"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_the_page_refuses_what_is_older_than_five_minutes(
    gateway: AppGateway, verify: Verify, age_s: float, is_accepted: bool
) -> None:
    gateway.ask("GET")
    assert judged(verify, gateway.sent(), age_s=age_s) is is_accepted


@pytest.mark.parametrize("timestamp", ["", "now", "-180000000", "1e9", "9" * 5000, "18000000\u00b2\u00b2"])
def test_the_page_refuses_a_time_that_is_none(gateway: AppGateway, verify: Verify, timestamp: str) -> None:
    gateway.ask("GET")
    headers = {**gateway.sent().headers, "x-sallyport-timestamp": timestamp}
    assert not judged(verify, gateway.sent()._replace(headers=headers))


def test_the_page_takes_either_of_two_keys_and_no_other(gateway: AppGateway, verify: Verify) -> None:
    gateway.ask("GET")
    other = SECRET[::-1]
    assert judged(verify, gateway.sent(), keys=(other, SECRET))
    assert not judged(verify, gateway.sent(), keys=(other,))
    assert not judged(verify, gateway.sent(), keys=())


def test_the_page_names_every_header_that_passes() -> None:

    page = (ROOT / "docs" / "apps.md").read_text()
    rows = {row.split("|")[1].strip(): row for row in page.splitlines() if row.startswith("| ")}
    assert all(f"`{name}`" in rows["request headers"] for name in FORWARDED_HEADERS)
    assert all(f"`{name}`" in rows["answer headers"] for name in RETURNED_HEADERS)

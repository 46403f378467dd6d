"""What passes of an app's answer, whatever its pieces, and for whom the leak guard's rules are made."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import SallyportError
from sallyport.gateway.app_documents import Described
from sallyport.gateway.app_guard import AppAnswerChecks, AppAnswerGuard, AppScanners
from sallyport.policy.verification_rules import (
    ANSWERS,
    BLOCK,
    ENFORCE,
    REDACT,
    REPORT,
    REQUESTS,
    LeakRules,
    Pattern,
    Scope,
    VerificationRules,
)
from sallyport.verification.leaks.scanner import Scanner
from sallyport.verification.openapi.checks import OpenApiChecks
from sallyport_cli.policy.openapi import compile_openapi

TICKET = Pattern("ticket", "ACME-[0-9]{6}", 11)
DOCUMENT = {
    "openapi": "3.1.0",
    "paths": {
        "/": {
            "get": {
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"type": "object", "required": ["a"]}},
                            "text/event-stream": {},
                        }
                    }
                }
            }
        }
    },
}
_CHECKS = OpenApiChecks(compile_openapi(json.dumps(DOCUMENT)))
DESCRIBED = Described(_CHECKS, _CHECKS.find("GET", "/"))


class Answer:
    """An app's answer in pieces."""

    def __init__(self, media_type: str, pieces: Sequence[bytes]) -> None:
        self.status = 200
        self.headers = {"content-type": media_type}
        self._pieces = pieces

    def chunks(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def close(self) -> None:
        raise AssertionError


def rule(action: str, **scope: tuple[str, ...]) -> LeakRules:
    return LeakRules("ours", (), (TICKET,), (), action, (ANSWERS,), Scope(**scope))


def passed(media_type: str, pieces: Sequence[bytes], mode: str, leaks: Scanner | None = None) -> tuple[bytes, bool]:
    """Give what of an answer passes, and whether it was broken off."""
    guard = AppAnswerGuard(AppAnswerChecks(DESCRIBED, mode, leaks), Answer(media_type, pieces), has_body=True)
    going = bytearray()
    try:
        guard.begin()
        for chunk in guard.chunks():
            going += chunk
    except SallyportError:
        return bytes(going), True
    return bytes(going), False


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut a body at places."""
    ends = sorted({place % (len(body) + 1) for place in places} | {0, len(body)})
    return [body[start:end] for start, end in pairwise(ends)]


STREAM = b': hi\n\nevent: a\r\ndata: {"t": "x ACME-123456 y"}\r\n\r\n'
STREAM += b"id: 1\ndata: \xc3\xa9\ndata: 2\n\nretry: 5\n\ndata: end\n\n"
_places = st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=12)


@given(_places)
def test_stream_passes_byte_for_byte_however_it_is_cut(places: list[int]) -> None:
    for mode in (REPORT, ENFORCE):
        assert passed("text/event-stream", cut(STREAM, places), mode) == (STREAM, False)


@given(_places)
def test_leak_in_a_stream_never_passes_however_it_is_cut(places: list[int]) -> None:
    going, broke_off = passed("text/event-stream", cut(STREAM, places), REPORT, Scanner([rule(REDACT)]))
    assert not broke_off
    assert b"ACME" not in going
    assert going.count(b"[ticket]") == 1
    assert going.endswith(b"data: end\n\n")
    assert passed("text/event-stream", cut(STREAM, places), REPORT, Scanner([rule(BLOCK)]))[1]


@pytest.mark.parametrize(
    "media_type", ["application/json", "text/plain", "application/octet-stream", "text/event-stream"]
)
@given(st.binary(max_size=200), st.lists(st.integers(min_value=0, max_value=200), max_size=5))
def test_report_passes_any_bytes_as_they_are(media_type: str, body: bytes, places: list[int]) -> None:
    assert passed(media_type, cut(body, places), REPORT, Scanner([rule(REPORT)])) == (body, False)


@given(st.binary(max_size=60))
def test_enforce_passes_all_of_a_body_or_nothing(body: bytes) -> None:
    assert passed("application/json", [body], ENFORCE) in {(body, False), (b"", True)}
    assert passed("application/json", [b'{"a":', b"1}"], ENFORCE) == (b'{"a":1}', False)


@given(st.binary(max_size=60))
def test_redaction_leaves_all_other_bytes(body: bytes) -> None:
    scanner = Scanner([rule(REDACT)])
    assert passed("text/csv", [body + b"ACME-123456"], REPORT, scanner) == (body + b"[ticket]", False)


def test_event_that_never_ends_is_not_held_for_ever() -> None:
    pieces = [b"data: 1\n\n", *[b"data: " + b"x" * 65_536 + b"\n"] * 20]
    assert passed("text/event-stream", pieces, ENFORCE) == (b"data: 1\n\n", True)


def test_scanners_are_made_once_for_a_policy_and_for_whom_they_are() -> None:
    scanners = AppScanners()
    rules = VerificationRules(leaks=(rule(BLOCK, tenants=("acme",)), rule(REPORT, routes=("apps",), apps=("a",))))
    acme = scanners.get(rules, ANSWERS, "acme", "b")
    assert acme is not None
    assert acme is scanners.get(rules, ANSWERS, "acme", "b")
    assert scanners.get(rules, ANSWERS, "other", "b") is None
    one, two = (scanners.get(rules, ANSWERS, tenant, "a") for tenant in ("other", "third"))
    assert one is two
    assert one is not None
    assert one.acting is None
    assert scanners.get(rules, REQUESTS, "acme", "a") is None
    assert scanners.get(VerificationRules(leaks=rules.leaks), ANSWERS, "acme", "b") is not acme
    assert scanners.get(VerificationRules(), ANSWERS, "acme", "b") is None

"""`sallyport verify response` as an operator uses it, on answers of the echo upstream."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from sallyport_cli.echo.app import create_app
from sallyport_cli.echo.faults import Faults
from sallyport_cli.verify.provider_bodies import NO_JSON, NO_STREAM
from tests.functional.verify.conftest import Verify

CHAT = ("--route", "chat_completions")
MESSAGES = ("--route", "messages")
ENFORCE = ("--parameter", "ResponseVerification=enforce")
KEY, CARD = "AKIAIOSFODNN7EXAMPLE", "4111 1111 1111 1111"
ITEM = ("--route", "apps", "--app", "shop", "--method", "GET", "--path", "/items/7")


@pytest.fixture(scope="module")
def echo() -> Iterator[TestClient]:
    with TestClient(create_app(Faults()), base_url="http://127.0.0.1") as running:
        yield running


def answer(echo: TestClient, model: str, path: str = "/v1/chat/completions", **fields: Any) -> bytes:
    said = [{"role": "user", "content": "one two three"}]
    body = {"model": model, "max_tokens": 50, "messages": said, **fields}
    return echo.post(path, json=body, headers={"anthropic-version": "2023-06-01"}).content


@pytest.mark.parametrize("options", [(), ENFORCE])
def test_sound_answer_passes_byte_for_byte(verify: Verify, echo: TestClient, options: tuple[str, ...]) -> None:
    raw = answer(echo, "echo")
    shown = verify("response", raw, *CHAT, *options, "--show", policy=False)
    assert (shown.exit_code, shown.stdout_bytes) == (0, raw + b"\n")
    stream = answer(echo, "echo", stream=True)
    shown = verify("response", stream, *CHAT, *options, "--stream", "--show", policy=False)
    assert (shown.exit_code, shown.stdout_bytes.rstrip()) == (0, stream.rstrip())


def test_report_tells_of_a_violation_and_lets_it_pass(verify: Verify, echo: TestClient) -> None:
    told = json.loads(verify("response", answer(echo, "fault-schema"), *CHAT, "--json", policy=False).stdout)
    assert (told["passes"], told["mode"], told["changed"]) == (True, "report", False)
    assert [violation.split()[:2] for violation in told["violations"]] == [["schema", "choices"]]


def test_enforce_refuses_a_whole_answer(verify: Verify, echo: TestClient) -> None:
    result = verify("response", answer(echo, "fault-schema"), *CHAT, *ENFORCE, policy=False)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == "refused: 502 upstream_invalid_response"
    assert "  violation schema choices" in result.stdout


@pytest.mark.parametrize("model", ["fault-schema", "fault-order", "fault-unfinished"])
def test_enforce_breaks_a_stream_off_after_what_was_sound(verify: Verify, echo: TestClient, model: str) -> None:
    stream = answer(echo, model, "/v1/messages", stream=True)
    result = verify("response", stream, *MESSAGES, *ENFORCE, "--stream", "--json", "--show", policy=False)
    told = json.loads(result.stdout)
    assert (told["passes"], told["mode"]) == (False, "enforce")
    assert (told["refusal"]["code"], told["refusal"]["midway"]) == ("upstream_invalid_response", True)
    passed = told["body"].encode()
    assert stream.startswith(passed)
    assert passed.startswith(b"event: message_start")
    assert b"message_stop" not in passed


@pytest.mark.parametrize(
    ("raw", "options", "note"),
    [
        ("data: {}\n\n", (), NO_JSON),
        ("", (), NO_JSON),
        ("{}", ("--content-type", "text/html"), NO_JSON),
        ("{}", ("--stream",), NO_STREAM),
    ],
)
def test_answer_of_another_form_is_told_what_it_should_be(
    verify: Verify, raw: str, options: tuple[str, ...], note: str
) -> None:
    told = json.loads(verify("response", raw, *CHAT, *options, "--json", policy=False).stdout)
    assert (told["refusal"]["code"], told["notes"]) == ("upstream_invalid_response", [note])


@pytest.mark.parametrize("status", ["401", "500"])
def test_failure_of_the_upstreams_is_told_nothing_of_its_form(verify: Verify, status: str) -> None:
    told = json.loads(verify("response", "{}", *CHAT, "--status", status, "--json", policy=False).stdout)
    assert (told["passes"], told["notes"]) == (False, [])


def test_off_looks_at_nothing(verify: Verify) -> None:
    told = json.loads(verify("response", '{"data": 7}', "--route", "embeddings", "--json").stdout)
    assert (told["passes"], told["mode"], told["violations"]) == (True, "off", [])


@pytest.mark.parametrize("stream", [False, True])
def test_blocked_leak_ends_the_answer_and_is_not_printed(verify: Verify, echo: TestClient, stream: bool) -> None:
    raw = answer(echo, "fault-leak", stream=stream)
    options = ("--stream",) if stream else ()
    result = verify("response", raw, *CHAT, *options, "--parameter", "LeakGuard=block", "--show", policy=False)
    assert result.exit_code == 1
    assert "response_blocked" in result.stderr
    assert "leaks/parameters/aws_access_key 1" in result.stderr
    assert KEY[8:] not in result.stdout + result.stderr
    assert bool(result.stdout) == stream


def test_redacted_leak_is_shown_as_its_kind(verify: Verify, echo: TestClient) -> None:
    raw = answer(echo, "fault-leak")
    result = verify("response", raw, *CHAT, "--parameter", "LeakGuard=redact", "--show", policy=False)
    said = json.loads(result.stdout)["choices"][0]["message"]["content"]
    assert said == "The key is [aws_access_key] and the card is [cards]."
    assert CARD not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        (("--status", "500"), "refused: 502 upstream_error"),
        (("--status", "401"), "refused: 502 upstream_credentials_rejected"),
        (("--content-type", "text/html"), "refused: 502 upstream_invalid_response"),
        (("--stream",), "refused: 502 upstream_invalid_response"),
    ],
)
def test_status_and_content_type_count(
    verify: Verify, echo: TestClient, options: tuple[str, ...], verdict: str
) -> None:
    result = verify("response", answer(echo, "echo"), *CHAT, *options)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (1, verdict)


def test_upstreams_refusal_is_held_to_no_schema_but_to_the_leak_guard(verify: Verify) -> None:
    refusal = {"error": {"message": "no such user: bob@example.com"}}
    result = verify("response", refusal, *CHAT, *ENFORCE, "--status", "404", "--show")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"error": {"message": "no such user: [email]"}})


def test_route_that_does_not_stream_is_no_verdict(verify: Verify) -> None:
    assert verify("response", "", "--route", "embeddings", "--stream").exit_code == 2


@pytest.mark.parametrize(
    ("options", "body", "verdict", "violation"),
    [
        ((), '{"name": "a"}', "passes, unchanged: 13 bytes", None),
        ((), '{"title": "a"}', "refused: 502 upstream_invalid_response", "schema name 1"),
        ((), "{", "refused: 502 upstream_invalid_response", "encoding 1"),
        (("--status", "418"), "{}", "refused: 502 upstream_invalid_response", "status 1"),
        (("--content-type", "text/html"), "{}", "refused: 502 upstream_invalid_response", "media_type content-type 1"),
    ],
)
def test_apps_answer_is_held_to_its_document(
    verify: Verify, options: tuple[str, ...], body: str, verdict: str, violation: str | None
) -> None:
    result = verify("response", body, *ITEM, *options)
    lines = result.stdout.splitlines()
    assert (result.exit_code, lines[0]) == (0 if violation is None else 1, verdict)
    assert violation is None or f"  violation {violation}" in lines

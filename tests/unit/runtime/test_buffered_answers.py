"""Buffered answers and failed invocations, byte for byte."""

import json
import sys
from typing import Any

import pytest

from sallyport import __version__
from sallyport.runtime.errors import InvocationRefused
from tests.support.fake_runtime_api import ACCEPTED, FakeRuntimeApi, event, parse, status
from tests.unit.runtime.conftest import Serve, serve_fake

AGENT = "sallyport/{} python/{}.{}.{}".format(__version__, *sys.version_info[:3])


def echo(event: Any, _context: Any) -> Any:
    return event


def test_an_answer_is_posted_byte_for_byte_as_documented() -> None:
    with FakeRuntimeApi(event(b'{"a": "\xc3\xa9"}'), ACCEPTED) as fake:
        serve_fake(fake, echo, {})
    fixed = f"Host: {fake.address}\r\nUser-Agent: {AGENT}\r\n"
    assert fake.requests == [
        f"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n{fixed}\r\n".encode(),
        (
            f"POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\n{fixed}"
            'Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{"a":"é"}'
        ).encode(),
    ]
    assert fake.connections == [1, 1]


def test_events_are_served_one_after_the_other_over_one_connection() -> None:
    script = [event(b"1", "one"), ACCEPTED, event(b"2", "two"), ACCEPTED, event(b"3", "three"), ACCEPTED]
    with FakeRuntimeApi(*script) as fake:
        serve_fake(fake, echo, {})
    assert [parse(request).body for request in fake.requests[1::2]] == [b"1", b"2", b"3"]
    assert set(fake.connections) == {1}


def test_an_event_of_6_mb_comes_whole_and_goes_back_whole(serve: Serve) -> None:
    big = json.dumps("x" * 6_000_000).encode()
    assert parse(serve(echo, event(big), ACCEPTED)[1]).body == big


def test_a_newer_runtime_apis_invocation_id_is_sent_back(serve: Serve) -> None:
    requests = serve(echo, event(headers={"Lambda-Runtime-Invocation-Id": "inv-7"}), ACCEPTED)
    assert parse(requests[1]).headers["Lambda-Runtime-Invocation-Id"] == "inv-7"


def test_an_exception_is_told_by_type_and_place_alone(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    def handler(_event: Any, _context: Any) -> None:
        raise KeyError("sk-secret")

    requests = serve(handler, event(), ACCEPTED)
    answer = parse(requests[1])
    line = handler.__code__.co_firstlineno + 1
    assert answer.line == "POST /2018-06-01/runtime/invocation/id-1/error HTTP/1.1"
    assert answer.headers["Lambda-Runtime-Function-Error-Type"] == "KeyError"
    assert answer.headers["Content-Type"] == "application/vnd.aws.lambda.error+json"
    assert answer.json == {
        "errorMessage": f"KeyError at {__file__}:{line}",
        "errorType": "KeyError",
        "requestId": "id-1",
        "stackTrace": [f'  File "{__file__}", line {line}, in {handler.__qualname__}\n'],
    }
    logged = json.loads(capsys.readouterr().err)
    assert (logged["level"], logged["errorType"]) == ("ERROR", "KeyError")
    assert b"sk-secret" not in b"".join(requests)
    assert "sk-secret" not in str(logged)


def test_a_refusal_is_told_by_its_message_and_not_logged(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    def handler(_event: Any, _context: Any) -> None:
        raise InvocationRefused("Unauthorized")

    assert parse(serve(handler, event(), ACCEPTED)[1]).json == {
        "errorMessage": "Unauthorized",
        "errorType": "InvocationRefused",
        "requestId": "id-1",
        "stackTrace": [],
    }
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("result", [{"a": b"sk-secret"}, float("nan"), object(), "\ud800", {(1,): 2}])
def test_a_result_that_is_no_json_is_a_marshal_error(serve: Serve, result: Any) -> None:
    answer = parse(serve(lambda _event, _context: result, event(), ACCEPTED)[1])
    assert answer.line.endswith("/invocation/id-1/error HTTP/1.1")
    assert answer.json["errorType"] == "Runtime.MarshalError"
    assert "sk-secret" not in answer.json["errorMessage"]


def test_an_event_that_is_no_json_is_an_unmarshal_error(serve: Serve) -> None:
    assert parse(serve(echo, event(b"{sk-secret"), ACCEPTED)[1]).json["errorMessage"] == (
        "Unable to unmarshal input: JSONDecodeError"
    )


def test_an_answer_that_is_too_large_is_reported_as_an_error(serve: Serve) -> None:
    requests = serve(echo, event(b'"xyz"'), status(413), ACCEPTED, event(), ACCEPTED)
    error = parse(requests[2])
    assert error.line.endswith("/invocation/id-1/error HTTP/1.1")
    assert error.json["errorType"] == "Function.ResponseSizeTooLarge"
    assert len(requests) == 5


@pytest.mark.parametrize("code", [400, 403, 404])
def test_an_answer_that_is_refused_is_reported_and_the_next_event_served(
    serve: Serve, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = serve(echo, event(), status(code), status(code), event(b'"next"'), ACCEPTED)
    assert parse(requests[2]).json["errorType"] == "Runtime.ResponseRefused"
    assert parse(requests[4]).body == b'"next"'
    assert f'"status": {code}' in capsys.readouterr().err


def test_the_loop_ends_when_the_runtime_api_says_that_it_cannot_recover(serve: Serve) -> None:
    """The script has more to give, but nobody asks for it."""
    assert len(serve(echo, event(), status(500), event(), ACCEPTED)) == 2


@pytest.mark.parametrize("code", [403, 500])
def test_the_loop_ends_when_no_event_can_be_had(serve: Serve, code: int) -> None:
    assert len(serve(echo, status(code), event(), ACCEPTED)) == 1


def test_the_trace_id_stands_in_the_environment_for_its_invocation_alone(serve: Serve, environ: dict[str, str]) -> None:
    def handler(_event: Any, _context: Any) -> str | None:
        return environ.get("_X_AMZN_TRACE_ID")

    traced = event(headers={"Lambda-Runtime-Trace-Id": "Root=1-2-3"})
    requests = serve(handler, traced, ACCEPTED, event(), ACCEPTED)
    assert [parse(request).json for request in requests[1::2]] == ["Root=1-2-3", None]

"""API Gateway's own answers."""

import json

import pytest

from sallyport_cli.local.gateway_responses import render
from tests.unit.cli.stacks import make_request, make_stack


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        ("UNAUTHORIZED", 401, "Unauthorized"),
        ("ACCESS_DENIED", 403, "User is not authorized to access this resource"),
        ("MISSING_AUTHENTICATION_TOKEN", 403, "Missing Authentication Token"),
        ("REQUEST_TOO_LARGE", 413, "Request Too Long"),
        ("INTEGRATION_TIMEOUT", 504, "Endpoint request timed out"),
    ],
)
def test_a_type_nobody_customised_answers_as_aws_does(kind: str, status: int, message: str) -> None:
    rendered = render(make_stack(), kind, make_request())
    assert (rendered.status, json.loads(rendered.body)) == (status, {"message": message})


def test_an_own_response_has_its_status_headers_and_variables() -> None:
    stack = make_stack(
        {
            "ACCESS_DENIED": {
                "StatusCode": 418,
                "ResponseParameters": {
                    "Headers": {
                        "x-request-id": "context.requestId",
                        "WWW-Authenticate": "'Bearer'",
                        "x-origin": "method.request.header.Origin",
                        "x-none": "context.nothing",
                    }
                },
                "ResponseTemplates": {
                    "application/json": (
                        '{"c":"$context.authorizer.code","i":"$context.requestId","n":"$context.nothing"}'
                    )
                },
            }
        }
    )
    rendered = render(stack, "ACCESS_DENIED", make_request(origin="https://o"), {"code": "ip_denied"})
    assert rendered.status == 418
    assert json.loads(rendered.body) == {"c": "ip_denied", "i": "req-1", "n": ""}
    headers = dict(rendered.headers)
    assert headers["x-request-id"] == "req-1"
    assert headers["WWW-Authenticate"] == "Bearer"
    assert headers["x-origin"] == "https://o"
    assert "x-none" not in headers


def test_the_defaults_stand_in_by_class_of_status() -> None:
    stack = make_stack(
        {
            "DEFAULT_4XX": {"ResponseTemplates": {"application/json": "4"}},
            "DEFAULT_5XX": {"StatusCode": 503, "ResponseTemplates": {"application/json": "5"}},
        }
    )
    four, five = (render(stack, kind, make_request()) for kind in ("THROTTLED", "INTEGRATION_FAILURE"))
    assert (four.status, four.body, five.status, five.body) == (429, b"4", 503, b"5")


def test_the_messages_variable_is_a_json_string() -> None:
    stack = make_stack({"THROTTLED": {"ResponseTemplates": {"application/json": '{"m":$context.error.messageString}'}}})
    assert json.loads(render(stack, "THROTTLED", make_request()).body) == {"m": "Too Many Requests"}

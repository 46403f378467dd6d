"""The context object: Lambda's headers and environment, field by field."""

import json
from typing import Any

import pytest

from sallyport.runtime.client import Invocation
from sallyport.runtime.context import LambdaContext
from tests.support.fake_runtime_api import ACCEPTED, event, parse
from tests.unit.runtime.conftest import Serve

ENVIRON = {
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2030/01/01/[1]ab",
    "AWS_LAMBDA_FUNCTION_NAME": "f",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_LAMBDA_FUNCTION_VERSION": "7",
}


def context(now_s: float = 0.0, **headers: str) -> LambdaContext:
    fields = {"lambda-runtime-aws-request-id": "id-1", "lambda-runtime-deadline-ms": "10000"}
    fields |= {f"lambda-runtime-{name.replace('_', '-')}": value for name, value in headers.items()}
    return LambdaContext(Invocation(fields, b""), ENVIRON, [], lambda: now_s)


def test_the_context_says_which_function_runs_for_whom() -> None:
    made = context(invoked_function_arn="arn:f", aws_tenant_id="acme")
    assert made.aws_request_id == "id-1"
    assert made.invoked_function_arn == "arn:f"
    assert made.tenant_id == "acme"
    assert made.function_name == "f"
    assert made.function_version == "7"
    assert made.memory_limit_in_mb == "256"
    assert made.log_group_name == "/aws/lambda/f"
    assert made.log_stream_name == "2030/01/01/[1]ab"


@pytest.mark.parametrize(("now_s", "remaining_ms"), [(0, 10_000), (9.9994, 1), (10, 0), (11, 0)])
def test_the_remaining_time_ends_at_nought(now_s: float, remaining_ms: int) -> None:
    assert context(now_s).get_remaining_time_in_millis() == remaining_ms


def test_identity_and_client_context_are_there_without_any() -> None:
    made = context()
    assert (made.identity.cognito_identity_id, made.identity.cognito_identity_pool_id) == (None, None)
    assert made.client_context is None
    assert made.w3c() == {}


def test_identity_and_client_context_are_read_from_their_headers() -> None:
    made = context(
        cognito_identity='{"cognitoIdentityId": "a", "cognitoIdentityPoolId": "b"}',
        client_context=json.dumps(
            {
                "client": {"app_title": "t", "installation_id": "i"},
                "custom": {"k": "v"},
                "env": {"locale": "de"},
                "w3c": {"traceparent": "00-1-2-01", "tracestate": 7, "other": "x"},
            }
        ),
    )
    assert (made.identity.cognito_identity_id, made.identity.cognito_identity_pool_id) == ("a", "b")
    assert made.client_context is not None
    assert (made.client_context.custom, made.client_context.env) == ({"k": "v"}, {"locale": "de"})
    client: Any = made.client_context.client
    assert (client.app_title, client.installation_id, client.app_package_name) == ("t", "i", None)
    assert made.w3c() == {"traceparent": "00-1-2-01"}


def test_log_writes_what_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    context().log("as it is")
    assert capsys.readouterr().out == "as it is"


@pytest.mark.parametrize(
    ("name", "value"),
    [("Client-Context", "{"), ("Client-Context", "7"), ("Cognito-Identity", "x"), ("Deadline-Ms", "soon")],
)
def test_headers_that_cannot_be_read_fail_the_invocation(serve: Serve, name: str, value: str) -> None:
    requests = serve(lambda _event, _context: 1, event(headers={f"Lambda-Runtime-{name}": value}), ACCEPTED)
    assert parse(requests[1]).json["errorType"] == "Runtime.LambdaContextUnmarshalError"

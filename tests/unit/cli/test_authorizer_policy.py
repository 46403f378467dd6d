"""An authorizer's answer, as API Gateway takes it."""

import json
from typing import Any

import pytest

from sallyport_cli.local.policy import AuthorizerAnswerError, decide

ARN = "arn:aws:execute-api:us-east-1:123456789012:local/prod/POST/v1/chat/completions"


def answer(*statements: dict[str, Any], **others: Any) -> bytes:
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    return json.dumps({"principalId": "p", "policyDocument": policy, **others}).encode()


def statement(effect: str, resource: Any = "*", action: Any = "execute-api:Invoke") -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([statement("Allow")], True),
        ([statement("Allow", "arn:aws:execute-api:us-east-1:123456789012:local/prod/*/*")], True),
        ([statement("Allow", ["arn:x", ARN])], True),
        ([statement("Allow", ARN.replace("POST", "P?ST"))], True),
        ([statement("Allow", action=["execute-api:*"])], True),
        ([statement("Allow", action="*")], True),
        ([statement("Allow"), statement("Deny", "*/v1/chat/*")], False),
        ([statement("Deny")], False),
        ([statement("Allow", ARN.replace("POST", "GET"))], False),
        ([statement("Allow", ARN.replace("POST", "[PG]OST"))], False),
        ([statement("Allow", action="execute-api:ManageConnections")], False),
    ],
)
def test_an_explicit_deny_wins_and_no_match_is_a_deny(statements: list[dict[str, Any]], allowed: bool) -> None:
    assert decide(answer(*statements), ARN).allowed is allowed


def test_context_values_become_text_as_in_the_proxy_event() -> None:
    decision = decide(answer(statement("Allow"), context={"a": "x", "n": 1, "f": 1.5, "t": True, "e": ""}), ARN)
    assert decision.context == {"principalId": "p", "a": "x", "n": "1", "f": "1.5", "t": "true", "e": ""}


def test_a_denial_keeps_its_context_for_the_gateway_response() -> None:
    decision = decide(answer(statement("Deny"), context={"code": "ip_denied"}), ARN)
    assert decision.context["code"] == "ip_denied"


@pytest.mark.parametrize(
    "payload",
    [
        b"not json",
        b"[]",
        json.dumps({"policyDocument": {"Statement": [statement("Allow")]}}).encode(),
        json.dumps({"principalId": "p"}).encode(),
        answer(),
        answer(statement("allow")),
        answer({"Effect": "Allow", "Action": "*"}),
        answer({**statement("Allow"), "Condition": {}}),
        answer(statement("Allow"), context={"a": ["list"]}),
        answer(statement("Allow"), context={"a": None}),
        answer(statement("Allow"), context="text"),
        answer(statement("Allow"), context={"a": "x" * 9000}),
    ],
)
def test_a_malformed_answer_is_a_configuration_error(payload: bytes) -> None:
    with pytest.raises(AuthorizerAnswerError):
        decide(payload, ARN)

"""Our reading of API Gateway's events, next to that of Powertools' data classes, on every example event."""

import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent
from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import (
    APIGatewayAuthorizerRequestEvent,
    APIGatewayAuthorizerResponse,
)

from sallyport.gateway.authorize import _policy
from sallyport.gateway.request import read_request
from tests.support.aws import ROOT

EVENTS = {path.name: json.loads(path.read_text()) for path in sorted((ROOT / "events").glob("*.json"))}
PROXY_EVENTS = {name: event for name, event in EVENTS.items() if "httpMethod" in event and "type" not in event}
AUTHORIZER_EVENTS = {name: event for name, event in EVENTS.items() if event.get("type") == "REQUEST"}


def test_there_are_events_of_both_kinds() -> None:
    assert len(PROXY_EVENTS) >= 6
    assert len(AUTHORIZER_EVENTS) >= 5


@pytest.mark.parametrize("name", PROXY_EVENTS)
def test_a_proxy_event_reads_as_powertools_reads_it(name: str) -> None:
    theirs, ours = APIGatewayProxyEvent(PROXY_EVENTS[name]), read_request(PROXY_EVENTS[name])
    assert ours.id == theirs.request_context.request_id
    assert ours.method == theirs.http_method
    assert ours.path == theirs.path
    assert ours.resource == theirs.resource
    assert dict(ours.path_parameters) == dict(theirs.path_parameters or {})
    assert dict(ours.headers) == {header.lower(): value for header, value in theirs.headers.items()}
    assert ours.body == (theirs.body or "")
    assert ours.source_ip == theirs.request_context.identity.source_ip


@pytest.mark.parametrize("name", AUTHORIZER_EVENTS)
@pytest.mark.parametrize("effect", ["Allow", "Deny"])
def test_the_authorizers_answer_is_powertools_for_every_route(name: str, effect: str) -> None:
    event = APIGatewayAuthorizerRequestEvent(AUTHORIZER_EVENTS[name])
    arn = event.parsed_arn
    theirs = APIGatewayAuthorizerResponse(
        "acme/demo", arn.region, arn.aws_account_id, arn.api_id, arn.stage, context={"tenant": "acme"}
    )
    theirs.allow_all_routes() if effect == "Allow" else theirs.deny_all_routes()
    ours = _policy(effect, AUTHORIZER_EVENTS[name]["methodArn"], "acme/demo", {"tenant": "acme"})
    assert _comparable(ours) == _comparable(theirs.asdict())


def _comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """Powertools writes Resource as a list, and the wildcard once for the method and once for the path."""
    statements = [
        (statement["Effect"], statement["Action"], str(_first(statement["Resource"])).replace("/*/*", "/*"))
        for statement in answer["policyDocument"]["Statement"]
    ]
    return {**answer, "policyDocument": statements}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value

"""API Gateway events and Lambda contexts for functional tests."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from sallyport.identity.principal import Principal, to_context

ACME = Principal("api_key", "acme", "demo", "KeyId00000000001", ("chat", "embeddings", "models"), None, ("us-east-1",))
REQUEST_ID = "b0a1c2d3-0000-4000-8000-000000000001"


class Context:
    """Lambda's context with the streaming runtime's `after_response`; `finish` runs what was registered."""

    aws_request_id = REQUEST_ID

    def __init__(self, remaining_ms: int = 60_000) -> None:
        self.remaining_ms = remaining_ms
        self._tasks: list[Callable[[], None]] = []

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms

    def after_response(self, task: Callable[[], None]) -> None:
        self._tasks.append(task)

    def finish(self) -> None:
        for task in self._tasks:
            task()


def proxy_event(
    method: str,
    path: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    principal: Principal | None = ACME,
    resource: str | None = None,
    path_parameters: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Give a REST proxy event; a body that is no string is sent as JSON."""
    sent = {"Content-Type": "application/json", **(headers or {})}
    context: dict[str, Any] = {"requestId": REQUEST_ID, "stage": "prod", "identity": {"sourceIp": "198.51.100.7"}}
    if principal is not None:
        context["authorizer"] = {"principalId": "acme/demo", **to_context(principal)}
    return {
        "resource": resource or path,
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": path_parameters,
        "stageVariables": None,
        "requestContext": context,
        "body": body if isinstance(body, str) or body is None else json.dumps(body),
        "isBase64Encoded": False,
    }


def authorizer_event(headers: Mapping[str, str] | None = None, source_ip: str = "198.51.100.7") -> dict[str, Any]:
    """Give an event of a REQUEST authorizer."""
    sent = dict(headers or {})
    return {
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/prod/POST/v1/chat/completions",
        "resource": "/v1/chat/completions",
        "path": "/v1/chat/completions",
        "httpMethod": "POST",
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": {},
        "pathParameters": {},
        "stageVariables": {},
        "requestContext": {"requestId": REQUEST_ID, "stage": "prod", "identity": {"sourceIp": source_ip}},
    }

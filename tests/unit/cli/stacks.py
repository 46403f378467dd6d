"""A stack and a request to make events and gateway responses of."""

from typing import Any

from sallyport_cli.local.request import GatewayRequest
from sallyport_cli.local.routes import Match
from sallyport_cli.local.stack import Route, Stack
from sallyport_cli.local.template_models import GatewayResponse


def make_stack(gateway_responses: dict[str, dict[str, Any]] | None = None) -> Stack:
    return Stack(
        name="sp",
        region="us-east-1",
        stage="prod",
        functions={},
        routes=(),
        authorizer=None,
        gateway_responses={k: GatewayResponse.model_validate(v) for k, v in (gateway_responses or {}).items()},
        stage_variables={},
        tables={},
        parameters={},
    )


def make_request(method: str = "GET", path: str = "/v1/models/gpt", query: str = "", **headers: str) -> GatewayRequest:
    pairs = [("host", "127.0.0.1:8080"), *((name.replace("_", "-"), value) for name, value in headers.items())]
    return GatewayRequest(method, path, query, pairs, "127.0.0.1", 8080, "1.1", request_id="req-1")


MATCH = Match(Route("/v1/models/{model}", "GET", "F", authorized=True, streamed=False, timeout_s=29), {"model": "gpt"})

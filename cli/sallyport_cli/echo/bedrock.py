"""The echo as Bedrock's runtime: Converse, and InvokeModel of Anthropic's models, in their real wire format."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from sallyport_cli.echo.answers import BadRequestError
from sallyport_cli.echo.converse import WRONG_EVENT as WRONG_CONVERSE_EVENT
from sallyport_cli.echo.converse import converse, converse_events
from sallyport_cli.echo.faults import Faults
from sallyport_cli.echo.invoke import WRONG_EVENT as WRONG_MESSAGE_EVENT
from sallyport_cli.echo.invoke import message, message_events
from sallyport_cli.echo.serving import Answer, guarded
from sallyport_cli.echo.violations import asked, sent, spoiled, streamed

EVENT_STREAM: Final = "application/vnd.amazon.eventstream"
SIGNATURE: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/, ]+/[0-9]{8}/[a-z0-9-]+/bedrock/aws4_request, "
    r"SignedHeaders=[a-z0-9;-]+, Signature=[0-9a-f]{64}"
)
"""What a request must be signed with, for the service `bedrock`; who signed it isn't looked up."""

_ERRORS: Final = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}

type Make = Callable[[dict[str, Any], str, Faults], ASGIApp]


def routes(faults: Faults, require_key: str | None) -> list[Route]:  # noqa: ARG001 - signed for, not with a key
    """Bedrock's routes, with `faults` for every request; those without a signature are refused."""
    return [
        _route("converse", faults, lambda body, _, wrong: _whole(converse(body), wrong)),
        _route(
            "converse-stream",
            faults,
            lambda body, _, wrong: _streamed(streamed(converse_events(body), WRONG_CONVERSE_EVENT, wrong), wrong),
        ),
        _route("invoke", faults, lambda body, model, wrong: _whole(message(body, model), wrong)),
        _route(
            "invoke-with-response-stream",
            faults,
            lambda body, model, wrong: _streamed(
                streamed(message_events(body, model), WRONG_MESSAGE_EVENT, wrong), wrong
            ),
        ),
    ]


def bedrock_error(status: int, text: str, code: str | None = None, param: str | None = None) -> ASGIApp:  # noqa: ARG001 - an `ErrorAnswer`; Bedrock's errors have neither
    """An error as Bedrock tells it: its name in a header, its message in the body."""
    name = _ERRORS.get(status, "InternalServerException" if status >= 500 else "ValidationException")  # noqa: PLR2004
    headers = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/", **_request_id()}
    return JSONResponse({"message": text}, status, headers)


def _route(action: str, faults: Faults, make: Make) -> Route:
    async def answer(request: Request) -> ASGIApp:
        if SIGNATURE.fullmatch(request.headers.get("authorization", "")) is None:
            return bedrock_error(403, "The request signature we calculated does not match the signature you provided.")
        model = request.path_params["model"]
        wrong = faults.for_model(model.removeprefix("anthropic."))  # its ids begin with who made the model
        raw = await request.body()
        return guarded(lambda: make(asked(_read(raw), wrong), model, wrong), wrong, bedrock_error)

    return Route(f"/model/{{model:path}}/{action}", answer, methods=["POST"])


def _read(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise BadRequestError("Malformed input request, please reformat your input and try again.")
    return body


def _whole(body: dict[str, Any], faults: Faults) -> ASGIApp:
    data = sent(json.dumps(spoiled(body, faults), separators=(",", ":")).encode(), faults)
    third = len(data) // 3 + 1
    parts = [data[start : start + third] for start in range(0, len(data), third)]
    return Answer(parts, "application/json", faults, headers=_raw_headers())


def _streamed(events: Iterable[bytes], faults: Faults) -> ASGIApp:
    headers = [*_raw_headers(), (b"x-amzn-bedrock-content-type", b"application/json")]
    return Answer(list(events), EVENT_STREAM, faults, headers=headers)


def _request_id() -> dict[str, str]:
    return {"x-amzn-requestid": str(uuid.uuid4())}


def _raw_headers() -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in _request_id().items()]

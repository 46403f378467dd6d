"""Answers as Lambda gives them: a streamed response, or a proxy integration's dict."""

import json
from collections.abc import Mapping
from typing import Any

from sallyport.errors import NO_RETRY, SallyportError
from sallyport.gateway.error_shapes import Shape, content_type, error_body
from sallyport.runtime.streaming import StreamedResponse


def buffered_json(status: int, body: Any, headers: Mapping[str, str]) -> dict[str, Any]:
    """Give a proxy integration's answer with a JSON body."""
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", **headers},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def buffered_error(error: SallyportError, shape: Shape, headers: Mapping[str, str]) -> dict[str, Any]:
    """Give an error as a proxy integration's answer."""
    answer = buffered_json(error.status, shape(error), error_headers(error, headers))
    answer["headers"].update(content_type(shape))
    return answer


def streamed_error(error: SallyportError, shape: Shape, headers: Mapping[str, str]) -> StreamedResponse:
    """Give an error on a streamed route, whose every answer is streamed."""
    return StreamedResponse(
        status=error.status,
        headers={**content_type(shape), **error_headers(error, headers)},
        body=(error_body(error, shape),),
    )


def error_headers(error: SallyportError, headers: Mapping[str, str]) -> dict[str, str]:
    """Give an error's headers: the answer's own, and what says whether repeating helps."""
    return {**headers, **(NO_RETRY if error.status == 403 else {}), **error.headers}  # noqa: PLR2004 - HTTP

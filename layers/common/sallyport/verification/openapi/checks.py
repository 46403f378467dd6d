"""An application's compiled OpenAPI document, in force: which operation a request is, and whether it is as described.

The document comes from `sallyport_cli.policy.openapi`, which has refused what is broken, remote or could blow up; here
is no network, and every validator is made when it is first needed. What OpenAPI leaves open passes: query parameters,
headers and cookies that the document doesn't name, and the body of an answer whose description names no content.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sallyport.errors import (
    InvalidJsonError,
    MethodNotAllowedError,
    OperationNotFoundError,
    RequestTooLargeError,
    SchemaViolationError,
    UnsupportedMediaTypeError,
)
from sallyport.verification.openapi import media_types
from sallyport.verification.openapi.fault_places import field, logged_field
from sallyport.verification.openapi.forms import read_form
from sallyport.verification.openapi.media_types import essence
from sallyport.verification.openapi.parameters import ParameterFault, Sent, read_cookies, read_parameter
from sallyport.verification.openapi.path_index import PathIndex
from sallyport.verification.openapi.schema_check import MAX_EFFORT, Cost, SchemaCheck
from sallyport.verification.schema_words import reason
from sallyport.verification.strict_json import parse_strict
from sallyport.verification.violations import ENCODING, MEDIA_TYPE, SCHEMA, SIZE, STATUS, Violation

FORMAT = 1
"""Of a compiled document."""

_PARAMETER_EFFORT = MAX_EFFORT // 32
"""What no parameter takes more than, for its size."""
_NOT_MODIFIED = 304
_WITHOUT_BODY = frozenset({204, 205, 304})


class Operation:
    """One operation of the document, and the values that a request's path has given its parameters."""

    def __init__(self, described: Mapping[str, Any], path_values: Mapping[str, str], place: str) -> None:
        self.described = described
        self.path_values = path_values
        self.place = place


class OpenApiChecks:
    """Made once per document. Raises `ValueError` for one of another format."""

    def __init__(self, compiled: Mapping[str, Any]) -> None:
        if compiled.get("format") != FORMAT:
            raise ValueError("the compiled OpenAPI document is of another format")
        self._defs: Mapping[str, Any] = compiled["defs"]
        self._index = PathIndex(compiled["paths"])
        self._checks: dict[tuple[str, ...], SchemaCheck] = {}

    def find(self, method: str, path: str) -> Operation:
        """Give the operation of a request; `path` is percent-encoded, below the application, with its first slash.

        Raises `OperationNotFoundError`, and `MethodNotAllowedError` with `Allow` where the path has other methods.
        """
        match = self._index.find(path)
        if match is None:
            raise OperationNotFoundError("This application has no such operation.")
        operations = match.item["operations"]
        if method not in operations:
            allowed = ", ".join(sorted(operations))
            raise MethodNotAllowedError("This operation doesn't take the method.", headers={"allow": allowed})
        return Operation(operations[method], match.values, f"{method} {match.item['path']}")

    def check_request(
        self,
        operation: Operation,
        query: Mapping[str, Sequence[str]],
        headers: Mapping[str, str],
        media_type: str,
        body_text: str,
    ) -> None:
        """Raise `SchemaViolationError` (its `param` such as `query.limit` or `body.items[0].name`) for what isn't so.

        `query` is decoded, header names are in small letters, `media_type` is the Content-Type as it came. Raises
        `UnsupportedMediaTypeError` and `InvalidJsonError` too. No text repeats a value.
        """
        sent = Sent(operation.path_values, query, headers, read_cookies(headers.get("cookie", "")))
        for index, parameter in enumerate(operation.described.get("parameters", ())):
            self._check_parameter(operation, index, parameter, sent)
        self._check_body(operation, media_type, body_text)

    def check_answer(
        self, operation: Operation, status: int, headers: Mapping[str, str], body: bytes | None
    ) -> Violation | None:
        """Give what is wrong with an answer. None for `body`: status and content type alone are looked at.

        A `304` is HTTP's own answer to a conditional request, and needs no description.
        """
        place = self._answer_place(operation, status, headers)
        if place is None or isinstance(place, Violation):
            return place
        media_type = headers.get("content-type", "")
        if not _is_looked_into(essence(media_type), _content(operation, place)):
            return None
        if not media_types.is_utf_8(media_type):
            return Violation(ENCODING, "content-type")
        return None if body is None else self._answer_violation(operation, place, essence(media_type), body)

    def wants_body(self, operation: Operation, status: int, headers: Mapping[str, str]) -> bool:
        """Say whether an answer's body is looked into: JSON, or plain text that has a schema."""
        place = self._answer_place(operation, status, headers)
        if place is None or isinstance(place, Violation):
            return False
        return _is_looked_into(essence(headers.get("content-type", "")), _content(operation, place))

    def _answer_place(
        self, operation: Operation, status: int, headers: Mapping[str, str]
    ) -> tuple[str, str] | Violation | None:
        """Give the response and the entry of its content that an answer falls under; None: its body may be anything."""
        key = _response_key(operation.described["responses"], status)
        if key is None:
            return None if status == _NOT_MODIFIED else Violation(STATUS, "")
        content = operation.described["responses"][key].get("content")
        if not content or status in _WITHOUT_BODY:
            return None
        chosen = media_types.choose(content, essence(headers.get("content-type", "")))
        return Violation(MEDIA_TYPE, "content-type") if chosen is None else (key, chosen)

    def _answer_violation(
        self, operation: Operation, place: tuple[str, str], media_type: str, body: bytes
    ) -> Violation | None:
        try:
            text = body.decode()
            value = parse_strict(text) if media_types.is_json(media_type) else text
        except (UnicodeDecodeError, InvalidJsonError):
            return Violation(ENCODING, "")
        content = _content(operation, place)
        effort = _cost(content).effort(value, len(text))
        if effort > MAX_EFFORT:
            return Violation(SIZE, "")
        fault = self._check((operation.place, "answer", *place), content["schema"]).fault(value, effort)
        return None if fault is None else Violation(SCHEMA, logged_field(fault.path))

    def _check_parameter(self, operation: Operation, index: int, parameter: Mapping[str, Any], sent: Sent) -> None:
        place, name = parameter["in"], parameter["name"]
        values = _json_values(parameter, sent) if parameter.get("json") else read_parameter(parameter, sent)
        if isinstance(values, ParameterFault):
            raise _refusal((place, name), values.reason)
        if not values:
            if parameter["required"]:
                raise _refusal((place, name), "is required")
            return
        check = self._check((operation.place, "parameter", str(index)), parameter["schema"])
        try:
            faults = [check.fault(value, _PARAMETER_EFFORT) for value in values]
        except UnicodeEncodeError:  # half a surrogate pair, which an event's JSON can hold
            raise _refusal((place, name), "isn't UTF-8") from None
        if faults[0] is not None and None not in faults:
            raise _refusal((place, name, *faults[0].path), reason(faults[0].keyword, faults[0].wanted))

    def _check_body(self, operation: Operation, media_type: str, text: str) -> None:
        described = operation.described.get("body")
        if not text:
            if described is not None and described["required"]:
                raise _refusal(("body",), "is required")
            return
        if described is None:
            raise _refusal(("body",), "isn't taken by this operation")
        kind = essence(media_type)
        chosen = media_types.choose(described["content"], kind)
        if chosen is None:
            raise UnsupportedMediaTypeError("This operation doesn't take the request's Content-Type.")
        content = described["content"][chosen]
        if not _is_looked_into(kind, content):
            return
        if not media_types.is_utf_8(media_type):
            raise UnsupportedMediaTypeError("The request's charset must be UTF-8.")
        value = _body(kind, content, text)
        effort = _cost(content).effort(value, len(text))
        if effort > MAX_EFFORT:
            raise RequestTooLargeError("The request's body is too large to be checked by this operation's schema.")
        fault = self._check((operation.place, "body", chosen), content["schema"]).fault(value, effort)
        if fault is not None:
            raise _refusal(("body", *fault.path), reason(fault.keyword, fault.wanted))

    def _check(self, key: tuple[str, ...], schema: Any) -> SchemaCheck:
        """Give the check of one place in the document; as many are kept as it has places."""
        check = self._checks.get(key)
        if check is None:
            check = self._checks[key] = SchemaCheck(schema, self._defs)
        return check


def _is_looked_into(media_type: str, content: Mapping[str, Any]) -> bool:
    """Say whether bodies of a type, an essence, are held to a schema; JSON must at least be strict."""
    is_text = media_type == media_types.TEXT and content["schema"] is not True
    return is_text or media_types.is_json(media_type) or "form" in content


def _content(operation: Operation, place: tuple[str, str]) -> Mapping[str, Any]:
    content: Mapping[str, Any] = operation.described["responses"][place[0]]["content"][place[1]]
    return content


def _cost(content: Mapping[str, Any]) -> Cost:
    return Cost(*content.get("cost", ()))


def _body(media_type: str, content: Mapping[str, Any], text: str) -> Any:
    if "form" in content:
        form = read_form(text, content["form"])
        if isinstance(form, ParameterFault):
            raise _refusal(("body",), form.reason)
        return form
    return parse_strict(text) if media_types.is_json(media_type) else text


def _json_values(parameter: Mapping[str, Any], sent: Sent) -> list[Any] | ParameterFault:
    texts = read_parameter({**parameter, "shape": "scalar", "types": ["string"]}, sent)
    if isinstance(texts, ParameterFault) or not texts:
        return texts
    try:
        return [parse_strict(texts[0])]
    except InvalidJsonError:
        return ParameterFault("isn't valid JSON")


def _response_key(responses: Mapping[str, Any], status: int) -> str | None:
    """OpenAPI 3.1, "Responses Object": an exact status before a range, before the default."""
    wanted = (str(status), f"{status // 100}XX", "default")
    return next((key for key in wanted if key in responses), None)


def _refusal(path: tuple[str | int, ...], why: str) -> SchemaViolationError:
    place = field(path)
    return SchemaViolationError(f"Invalid request: {place} {why}.", param=place)

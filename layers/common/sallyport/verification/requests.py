"""What an operator lets a request hold, beyond what its API's schema says.

Several rules may count for a request, for all routes, its route, and its tenant's: each can narrow and none can widen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from sallyport.errors import SchemaViolationError, UnsupportedFieldError
from sallyport.policy.verification_rules import IGNORE, REFUSE, STRIP, UNKNOWN_FIELDS, RequestRules
from sallyport.verification.prompt_texts import CHAT_COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, PromptTexts
from sallyport.verification.schema import RequestSchema

_OUTPUT_FIELDS = {
    CHAT_COMPLETIONS: ("max_completion_tokens", "max_tokens"),
    RESPONSES: ("max_output_tokens",),
    MESSAGES: ("max_tokens",),
}
_FILLED = {CHAT_COMPLETIONS: "max_completion_tokens", RESPONSES: "max_output_tokens"}
"""Where a request may leave out how long its answer may be, which then is as long as the model can write."""

_OLDER = {"tools": "functions", "tool_choice": "function_call"}
_SAME = {**_OLDER, "max_completion_tokens": "max_tokens"}
"""Fields of a chat, and what says the same in older words; upstreams differ in which of two they go by."""


class RequestChecks:
    """The rules for one route and tenant, compiled; make it once per policy version.

    `compiled`: what was compiled for others of the same version, by `id` of the schema, and takes what is compiled
    here: a compiled schema can take a megabyte, and what is for all would be there once per tenant. Raises `ValueError`
    for a schema of the operator's that can't be compiled.
    """

    def __init__(
        self,
        route: str,
        schema: RequestSchema,
        rules: Sequence[RequestRules],
        compiled: MutableMapping[int, RequestSchema] | None = None,
    ) -> None:
        self._route = route
        self._schema = schema
        self._unknown_fields = max((one.unknown_fields for one in rules), key=UNKNOWN_FIELDS.index, default=IGNORE)
        self._forbidden = _forbidden(route, rules)
        self._forced = _forced(rules)
        self._others = _others(route, self._forced)
        self._schemas = _compiled([own for one in rules for own in one.schemas], {} if compiled is None else compiled)
        self._max_messages = _least(one.max_messages for one in rules)
        self._max_images = _least(one.max_images for one in rules)
        self._max_tools = _least(one.max_tools for one in rules)
        self._max_prompt_bytes = _least(one.max_prompt_bytes for one in rules)
        self._max_output_tokens = _least(one.max_output_tokens for one in rules)

    def apply(self, body: Mapping[str, Any], longest: int | None = None) -> Mapping[str, Any]:
        """Give a body that its API's schema has passed as it may go on: the same object if nothing was changed.

        `longest`: how many tokens the model can write, if known; upstreams refuse a request that asks for more.
        Raises `UnsupportedFieldError` or `SchemaViolationError`, which name the field and the reason and never a value.
        """
        body = self._without_unknown(body)
        self._check_forbidden(body)
        body = self._with_forced(body)
        self._check_counts(body)
        body = self._with_maximum(body, longest)
        for schema in self._schemas:
            schema.check(body)
        return body

    def _without_unknown(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        known = self._schema.known_fields
        if self._unknown_fields == REFUSE:
            known.check(body)
        elif self._unknown_fields == STRIP:
            stripped: Mapping[str, Any] = known.strip(body)
            return stripped
        else:
            known.check_spelling(body)
        return body

    def _check_forbidden(self, body: Mapping[str, Any]) -> None:
        """Refuse a field that may not be set, also in older words; one that is null is as good as absent."""
        for name in self._forbidden.intersection(body):
            if body[name] is not None:
                raise UnsupportedFieldError(f"{name} may not be set here.", param=name)

    def _with_forced(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give a body with what is set, and without what says otherwise in other words."""
        changed = {
            name: value for name, value in self._forced.items() if name not in body or _differ(body[name], value)
        }
        others = self._others.intersection(body)
        if not changed and not others:
            return body
        body = {name: value for name, value in {**body, **changed}.items() if name not in others}
        self._schema.check(body)
        return body

    def _check_counts(self, body: Mapping[str, Any]) -> None:
        texts = PromptTexts(self._route, body)
        if self._route != EMBEDDINGS:
            _check_count(texts.field, self._max_messages, texts.message_count, "item(s)")
        _check_count(texts.field, self._max_images, texts.image_count, "image(s)")
        _check_count("tools", self._max_tools, texts.tool_count, "item(s)")
        _check_count(texts.field, self._max_prompt_bytes, texts.byte_count, "byte(s) of text, tools counted")

    def _with_maximum(self, body: Mapping[str, Any], longest: int | None) -> Mapping[str, Any]:
        """Give a body whose answer is held to the maximum, also where the client says nothing of it."""
        if self._max_output_tokens is None:
            return body
        asked = list(_asked_tokens(self._route, body))
        for path, tokens in asked:
            if tokens > self._max_output_tokens:
                message = f"Invalid request: {path} must be at most {self._max_output_tokens}."
                raise SchemaViolationError(message, param=path)
        name = None if asked else _FILLED.get(self._route)
        return (
            body if name is None else {**body, name: min(self._max_output_tokens, longest or self._max_output_tokens)}
        )


def _asked_tokens(route: str, body: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Give where a body says how long its answer may be, and how long that is; a field the API lacks says nothing."""
    yield from ((name, body[name]) for name in _OUTPUT_FIELDS.get(route, ()) if body.get(name) is not None)
    fallbacks = body.get("fallbacks") if route == MESSAGES else None
    for index, fallback in enumerate(fallbacks if isinstance(fallbacks, list) else ()):
        if fallback.get("max_tokens") is not None:
            yield f"fallbacks[{index}].max_tokens", fallback["max_tokens"]


def _forced(rules: Sequence[RequestRules]) -> Mapping[str, Any]:
    """Give what is set: of two rules the first, which is the wider. The policy gives a route what it knows alone."""
    forced: dict[str, Any] = {}
    for one in reversed(rules):
        forced.update(one.forced)
    return forced


def _forbidden(route: str, rules: Sequence[RequestRules]) -> frozenset[str]:
    names = {name for one in rules for name in one.forbidden}
    older = {_OLDER[name] for name in names.intersection(_OLDER)} if route == CHAT_COMPLETIONS else set()
    return frozenset(names | older)


def _others(route: str, forced: Mapping[str, Any]) -> frozenset[str]:
    """Give the fields that say the same as one that is set, and aren't set themselves."""
    if route != CHAT_COMPLETIONS:
        return frozenset()
    said = ((one, other) for pair in _SAME.items() for one, other in (pair, pair[::-1]))
    return frozenset(other for one, other in said if one in forced and other not in forced)


def _differ(value: Any, forced: Any) -> bool:
    """Say whether two values are different ones in JSON, where `0` isn't `false`."""
    return isinstance(value, bool) != isinstance(forced, bool) or bool(value != forced)


def _compiled(
    schemas: Sequence[Mapping[str, Any]], known: MutableMapping[int, RequestSchema]
) -> tuple[RequestSchema, ...]:
    for own in schemas:
        if id(own) not in known:
            known[id(own)] = RequestSchema(dict(own))
    return tuple(known[id(own)] for own in schemas)


def _least(maxima: Iterable[int | None]) -> int | None:
    return min((maximum for maximum in maxima if maximum is not None), default=None)


def _check_count(field: str, maximum: int | None, count: Callable[[], int], what: str) -> None:
    """Count only where there is a maximum: a long conversation takes its time."""
    if maximum is not None and count() > maximum:
        raise SchemaViolationError(f"Invalid request: {field} must have at most {maximum} {what}.", param=field)

"""Answers, and events of streamed ones, held to their route's JSON Schema (draft 2020-12).

The schemas are written from what providers publish and from what compatible servers send: they hold what is known to
its type, and require only what clients can't do without. A violation names a field, in the schema's own words.
"""

from collections.abc import Sequence
from typing import Any, NoReturn

import jsonschema_rs

from sallyport.errors import InvalidJsonError
from sallyport.verification.schema import read_built_in
from sallyport.verification.strict_json import parse_strict
from sallyport.verification.violations import ENCODING, SCHEMA, Violation

ROUTES = ("chat_completions", "responses", "embeddings", "messages", "count_tokens")
STREAMED_ROUTES = ("chat_completions", "responses", "messages")


class AnswerSchema:
    """A compiled schema; make it once per process."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._validator = jsonschema_rs.Draft202012Validator(document, retriever=_refuse_reference)

    @classmethod
    def built_in(cls, route: str) -> "AnswerSchema":
        """Load what a route's whole answers are held to, one of `ROUTES`."""
        return cls(read_built_in(f"answers/{route}"))

    @classmethod
    def of_events(cls, route: str) -> "AnswerSchema":
        """Load what the data of a streamed answer's events is held to, of one of `STREAMED_ROUTES`."""
        return cls(read_built_in(f"answers/{route}_event"))

    def check(self, body: Any) -> Violation | None:
        """Give the first field that isn't as the schema says, None if each is.

        The validator's error holds a copy of the value at fault, so the root is looked at here.
        """
        if (violation := self._check_root(body)) is not None:
            return violation
        try:
            self._validator.validate(body)
        except jsonschema_rs.ValidationError as error:
            missing = getattr(error.kind, "property", None)  # of `required` alone, and from the schema
            return Violation(
                SCHEMA, _field(error.instance_path if missing is None else [*error.instance_path, missing])
            )
        return None

    def check_text(self, raw: bytes) -> Violation | None:
        """Check a body's bytes: those must be UTF-8 and strict JSON."""
        try:
            body = parse_answer(raw)
        except InvalidJsonError:
            return Violation(ENCODING, "")
        return self.check(body)

    def _check_root(self, body: Any) -> Violation | None:
        if not isinstance(body, dict):
            return Violation(SCHEMA, "")
        missing = next((name for name in self._document.get("required", ()) if name not in body), None)
        return None if missing is None else Violation(SCHEMA, missing)


def parse_answer(raw: bytes) -> Any:
    """Parse an answer as strictly as requests are. Raises `InvalidJsonError`."""
    try:
        return parse_strict(raw.decode())
    except UnicodeDecodeError:
        raise InvalidJsonError("The answer isn't valid UTF-8.") from None


def _field(path: Sequence[str | int]) -> str:
    """Give a field's path; its names are those that the schema has properties for."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def _refuse_reference(_: str) -> NoReturn:
    raise ValueError("a schema may not refer to another document")

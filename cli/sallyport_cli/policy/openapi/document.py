"""An OpenAPI document as plain values, in which every place has a name and, where it can be told, a line."""

from __future__ import annotations

from typing import Any, Final, NoReturn
from urllib.parse import unquote

from sallyport_cli.policy.yaml_reading import Lines, Path, YamlError, parse_yaml

MAX_DOCUMENT_BYTES: Final = 2_000_000
MAX_DEPTH: Final = 128
MAX_REFERENCES: Final = 32
"""That lead to one another before there is something else."""


class Document:
    """One document. `is_3_0` tells OpenAPI 3.0 from 3.1, whose schemas aren't written alike."""

    def __init__(self, values: dict[str, Any], lines: Lines) -> None:
        self.values = values
        self._lines = lines
        self.is_3_0 = str(values.get("openapi", "")).startswith("3.0.")

    def fail(self, path: Path, reason: str) -> NoReturn:
        """Raise `ValueError` that says where and why."""
        raise ValueError(f"line {self._lines.of_key(path)}: {place(path)}: {reason}")

    def resolve(self, reference: object, path: Path) -> tuple[Path, Any]:
        """Give what a local reference at `path` names, and where that is. Raises `ValueError`."""
        if not isinstance(reference, str):
            self.fail(path, "$ref must be text")
        if not reference.startswith("#"):
            self.fail(path, "$ref leads out of the document; put what it names under components")
        if reference != "#" and not reference.startswith("#/"):
            self.fail(path, "$ref must be a JSON pointer such as #/components/schemas/Item; anchors aren't taken")
        value: Any = self.values
        target: Path = ()
        for raw in reference.split("/")[1:]:
            step = _unescaped(raw)
            value, key = self._step(value, step, path)
            target = (*target, key)
        return target, value

    def follow(self, value: Any, path: Path) -> tuple[Path, Any]:
        """Give a value, or what it is a reference to, however often that is a reference again."""
        for _ in range(MAX_REFERENCES):
            if not (isinstance(value, dict) and "$ref" in value):
                return path, value
            path, value = self.resolve(value["$ref"], (*path, "$ref"))
        return self.fail(path, "a reference leads to itself")

    def mapping(self, value: Any, path: Path) -> dict[str, Any]:
        """Give a value that must be a mapping."""
        if not isinstance(value, dict):
            self.fail(path, "must be a mapping")
        return value

    def sequence(self, value: Any, path: Path) -> list[Any]:
        """Give a value that must be a list."""
        if not isinstance(value, list):
            self.fail(path, "must be a list")
        return value

    def flag(self, holder: dict[str, Any], name: str, path: Path, *, default: bool = False) -> bool:
        """Give a field that must be true or false."""
        value = holder.get(name, default)
        if not isinstance(value, bool):
            self.fail((*path, name), "must be true or false")
        return value

    def _step(self, value: Any, step: str, path: Path) -> tuple[Any, str | int]:
        if isinstance(value, dict) and step in value:
            return value[step], step
        if isinstance(value, list) and step.isascii() and step.isdigit() and int(step[:9]) < len(value):
            return value[int(step)], int(step)
        return self.fail(path, "$ref names nothing in the document")


def read_document(text: str) -> Document:
    """Read YAML or JSON, strictly: no key twice, no anchors, no tags. Raises `ValueError` with the place."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"the document is larger than {MAX_DOCUMENT_BYTES // 1_000_000} MB")
    try:
        parsed = parse_yaml(text, max_depth=MAX_DEPTH)
    except YamlError as error:
        raise ValueError(f"line {error.line}: {error.reason}" if error.line else f"it {error.reason}") from None
    document = Document(parsed.values, parsed.lines)
    version = parsed.values.get("openapi")
    if not isinstance(version, str) or not version.startswith(("3.0.", "3.1.")):
        document.fail(("openapi",), 'must be an OpenAPI version, such as "3.1.0" or "3.0.3"')
    return document


def place(path: Path) -> str:
    """Write a path as `paths./users/{id}.get.parameters[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "the document"


def _unescaped(step: str) -> str:
    """RFC 6901, sections 4 and 6."""
    return unquote(step).replace("~1", "/").replace("~0", "~")

"""`python -m bench.verification_peers SCHEMA` in .venv-bench: parses and checks the same bodies with other libraries.

Prints a JSON object: by library and size in KB, microseconds of CPU per body in each batch.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import fastjsonschema
import jsonschema
from pydantic import BaseModel, ConfigDict, TypeAdapter

from bench.cpu import Case, measure
from bench.verification_bodies import SIZES_KB, chat

BATCHES = 5


class Message(BaseModel):
    """What a model says of a message; whatever else it has is kept."""

    model_config = ConfigDict(extra="allow")
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None


class Chat(BaseModel):
    """A chat's body, as the route's schema has it."""

    model_config = ConfigDict(extra="allow")
    model: str
    messages: list[Message]
    temperature: float | None = None
    max_tokens: int | None = None
    stream: bool | None = None
    tools: list[dict[str, Any]] | None = None


def main() -> None:
    """Measure."""
    schema = json.loads(Path(sys.argv[1]).read_text())
    reference = jsonschema.Draft202012Validator(schema)
    compiled = fastjsonschema.compile(schema)
    adapter = TypeAdapter(Chat)
    found: dict[str, dict[int, tuple[float, ...]]] = {}
    for size_kb in SIZES_KB:
        text = chat(size_kb)
        value = json.loads(text)
        works: dict[str, Callable[[], object]] = {
            "json + python-jsonschema": partial(_parsed, reference.validate, text),
            "python-jsonschema alone": partial(reference.validate, value),
            "json + fastjsonschema": partial(_parsed, compiled, text),
            "fastjsonschema alone": partial(compiled, value),
            "pydantic, with its parser": partial(adapter.validate_json, text),
            "pydantic alone": partial(adapter.validate_python, value),
        }
        cases = [_case(name, work, size_kb) for name, work in works.items()]
        for name, figures in measure(cases, BATCHES).items():
            found.setdefault(name, {})[size_kb] = figures.batches_us
    json.dump(found, sys.stdout)


def _parsed(check: Callable[[object], object], text: str) -> None:
    check(json.loads(text))


def _case(name: str, work: Callable[[], object], size_kb: int) -> Case:
    calls = max(1, 40 // size_kb)

    def batch() -> None:
        for _ in range(calls):
            work()

    return Case(name, calls, lambda: batch)


if __name__ == "__main__":
    main()

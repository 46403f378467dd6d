"""`python -m bench.verification_peers SCHEMA` in .venv-bench: parses and checks the same bodies with other libraries.

Prints a JSON object: by library and size in KB, microseconds of CPU per body in each batch.
"""

import json
import sys
from collections.abc import Callable
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
    libraries: dict[str, Callable[[str], object]] = {
        "json + python-jsonschema": lambda text: reference.validate(json.loads(text)),
        "json + fastjsonschema": lambda text: compiled(json.loads(text)),
        "pydantic (its own parser)": adapter.validate_json,
    }
    found: dict[str, dict[int, tuple[float, ...]]] = {}
    for size_kb in SIZES_KB:
        cases = [_case(name, check, chat(size_kb)) for name, check in libraries.items()]
        for name, figures in measure(cases, BATCHES).items():
            found.setdefault(name, {})[size_kb] = figures.batches_us
    json.dump(found, sys.stdout)


def _case(name: str, check: Callable[[str], object], text: str) -> Case:
    calls = max(1, 40_000 // len(text))

    def batch() -> None:
        for _ in range(calls):
            check(text)

    return Case(name, calls, lambda: batch)


if __name__ == "__main__":
    main()

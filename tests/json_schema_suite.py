"""The JSON-Schema-Test-Suite through python-jsonschema, jsonschema-rs, and the gateway as it holds a body to a schema.

`python -m tests.json_schema_suite DIR`, where DIR holds a copy of github.com/json-schema-org/JSON-Schema-Test-Suite,
which isn't part of this project. It runs the required tests of drafts 2020-12 and 7, and prints every test in which one
of the three says something else than the suite does. Exits 1 if one of these isn't a documented difference (ADR 11).
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import jsonschema_rs
import jsonschema_specifications
import referencing
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT7, DRAFT202012

from sallyport.errors import SchemaViolationError
from sallyport.verification.schema import RequestSchema

DRAFTS = {"draft2020-12": jsonschema.Draft202012Validator, "draft7": jsonschema.Draft7Validator}
IDS = {
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
    "draft7": "http://json-schema.org/draft-07/schema#",
}
_LIBRARY = {"draft2020-12": jsonschema_rs.Draft202012Validator, "draft7": jsonschema_rs.Draft7Validator}
_LIBRARY_DRAFTS = {"draft2020-12": jsonschema_rs.Draft202012, "draft7": jsonschema_rs.Draft7}
_SPECIFICATIONS = {"draft2020-12": DRAFT202012, "draft7": DRAFT7}

UNREADABLE = "can't: a pattern that isn't Python's"
OTHER_DOCUMENT = "refused: other document"
OTHER_DIALECT = "refused: other dialect"
_REFUSALS = {"not present in a registry": OTHER_DOCUMENT, "$schema must": OTHER_DIALECT}
"""Why the gateway refuses a schema, by words in its message."""

REFERENCE, LIBRARY, GATEWAY = "python-jsonschema", "jsonschema-rs", "gateway"
DOCUMENTED = frozenset({
    ("draft2020-12", "refRemote", GATEWAY, OTHER_DOCUMENT),
    ("draft2020-12", "dynamicRef", GATEWAY, OTHER_DOCUMENT),
    ("draft2020-12", "vocabulary", GATEWAY, OTHER_DIALECT),
    ("draft2020-12", "format", GATEWAY, False),
    ("draft2020-12", "pattern", REFERENCE, UNREADABLE),
    ("draft2020-12", "patternProperties", REFERENCE, UNREADABLE),
    ("draft2020-12", "vocabulary", REFERENCE, False),
    ("draft7", "refRemote", GATEWAY, OTHER_DOCUMENT),
})  # fmt: skip
"""Draft, file of the suite, who differs, and what it says instead of what is expected there."""

type Said = bool | str
"""Whether a value is valid; else, in words, why there is no telling."""


class Difference(NamedTuple):
    """A test in which one of the three doesn't say what the suite does."""

    draft: str
    file: str
    who: str
    said: Said
    test: str

    @property
    def is_documented(self) -> bool:
        """Whether it is one that is known and meant."""
        return self[:4] in DOCUMENTED


class Remotes(NamedTuple):
    """The documents that the suite says are at localhost:1234, for either library."""

    reference: Any
    library: Any


def gateway_says(schema: Any, value: Any) -> Said:
    """Hold a value to a schema as the gateway holds a request's body to an operator's."""
    document = {} if schema is True else {"not": {}} if schema is False else schema  # an operator's is an object
    try:
        RequestSchema(document).check(value)
    except SchemaViolationError:
        return False
    except ValueError as error:
        return next((why for words, why in _REFUSALS.items() if words in str(error)), f"refused: {error}")
    return True


def reference_says(schema: Any, value: Any, draft: str, registry: Any = None) -> Said:
    """Ask python-jsonschema; `registry` holds other documents."""
    documents = referencing.Registry() if registry is None else registry
    try:
        return DRAFTS[draft](schema, registry=documents).is_valid(value)
    except Unresolvable:
        return "can't: a reference"
    except re.PatternError:  # Python's `re` knows no \p{...}
        return UNREADABLE


def library_says(schema: Any, value: Any, draft: str, registry: Any = None) -> Said:
    """Ask jsonschema-rs as it comes, formats unchecked."""
    try:
        return _LIBRARY[draft](schema, registry=registry, offline=True).is_valid(value)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        return f"can't: {error}"


def run(root: Path, draft: str) -> tuple[int, list[Difference]]:
    """Run one draft's required tests; give how many there are, and the differences."""
    count, differences = 0, []
    remotes = read_remotes(root, draft)
    ask: dict[str, Callable[[Any, Any], Said]] = {
        REFERENCE: lambda schema, value: reference_says(schema, value, draft, remotes.reference),
        LIBRARY: lambda schema, value: library_says(schema, value, draft, remotes.library),
        GATEWAY: gateway_says,
    }
    for file, name, schema, test in _tests(root, draft):
        count += 1
        said = {who: says(schema, test["data"]) for who, says in ask.items()}
        differences += [
            Difference(draft, file, who, what, name) for who, what in said.items() if what is not test["valid"]
        ]
    return count, differences


def main() -> int:
    """Run both drafts and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.json_schema_suite", description=__doc__)
    parser.add_argument("directory", type=Path)
    root: Path = parser.parse_args().directory
    return 1 if sum(_report(draft, *run(root, draft)) for draft in DRAFTS) else 0


def _report(draft: str, count: int, differences: list[Difference]) -> int:
    unknown = [one for one in differences if not one.is_documented]
    print(f"{draft}: {count} required tests")
    for who in (REFERENCE, LIBRARY, GATEWAY):
        own = [one for one in differences if one.who == who]
        print(f"  {who}: {count - len(own)} as the suite expects, {len(own)} not")
    for (who, file, said), times in Counter((one.who, one.file, one.said) for one in differences).items():
        print(f"  {times} in {file}: {who} says {said}")
    for one in unknown:
        print(f"  UNDOCUMENTED {one.file}: {one.test}: {one.who} says {one.said}")
    print(f"  undocumented differences: {len(unknown)}")
    return len(unknown) + (count == 0)


def _tests(root: Path, draft: str) -> Iterator[tuple[str, str, Any, Mapping[str, Any]]]:
    """Give file, name, schema and test of each."""
    for path in sorted((root / "tests" / draft).glob("*.json")):
        for group in json.loads(path.read_text()):
            schema = _with_draft(group["schema"], draft)
            for test in group["tests"]:
                yield path.stem, f"{group['description']}: {test['description']}", schema, test


def _with_draft(schema: Any, draft: str) -> Any:
    """Name the draft, since a schema without `$schema` is one of 2020-12 to the gateway."""
    return {"$schema": IDS[draft], **schema} if isinstance(schema, Mapping) else schema


def read_remotes(root: Path, draft: str) -> Remotes:
    """Read the suite's other documents, those of other drafts left out."""
    others = {"draft3", "draft4", "draft6", "draft7", "draft2019-09", "draft2020-12", "v1"} - {draft}
    remotes = root / "remotes"
    paths = [path for path in remotes.rglob("*.json") if not others & set(path.parts)]
    documents = [
        (f"http://localhost:1234/{path.relative_to(remotes).as_posix()}", json.loads(path.read_text()))
        for path in paths
    ]
    make = referencing.Resource.from_contents
    pairs = [(uri, make(value, _SPECIFICATIONS[draft])) for uri, value in documents]
    return Remotes(
        jsonschema_specifications.REGISTRY.with_resources(pairs),
        jsonschema_rs.Registry(documents, draft=_LIBRARY_DRAFTS[draft]),
    )


if __name__ == "__main__":
    sys.exit(main())

"""The JSON-Schema-Test-Suite through the gateway's own validator and through the reference, python-jsonschema.

`python -m tests.json_schema_suite DIR`, where DIR holds a copy of github.com/json-schema-org/JSON-Schema-Test-Suite,
which isn't part of this project. It runs the required tests of drafts 2020-12 and 7 and prints every test in which
the two differ, or in which both differ from what the suite expects. Tests whose schema reaches beyond itself, which
the gateway refuses by design, are counted apart. Exits 1 if a difference isn't among the known ones.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import jsonschema_specifications
import referencing
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT7, DRAFT202012

from sallyport.verification.schema import compile_schema

DRAFTS = {"draft2020-12": jsonschema.Draft202012Validator, "draft7": jsonschema.Draft7Validator}
IDS = {
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
    "draft7": "http://json-schema.org/draft-07/schema#",
}
REFUSED = "can't"
REASONS = {"not present in a registry": "refused: other document", "$schema must": "refused: other dialect"}
"""Why the gateway refuses a schema, by words in its message."""
ON_PURPOSE = ("format",)
"""Files of the suite in which the gateway differs: it asserts formats, which the drafts only allow."""


class Verdict(NamedTuple):
    """What the suite expects of a test, and what two validators say: True, False or `refused`."""

    draft: str
    file: str
    test: str
    expected: bool
    gateway: bool | str
    reference: bool | str

    @property
    def right(self) -> bool:
        """Whether the gateway says what the suite expects, and the reference too if it can say anything."""
        return self.expected == self.gateway and self.reference in {self.gateway, REFUSED}


def verdicts(root: Path, draft: str) -> Iterator[Verdict]:
    """Run one draft's required tests."""
    remotes = _remotes(root, draft)
    for path in sorted((root / "tests" / draft).glob("*.json")):
        for group in json.loads(path.read_text()):
            schema = _with_draft(group["schema"], draft)
            for test in group["tests"]:
                name = f"{group['description']}: {test['description']}"
                gateway = gateway_says(schema, test["data"])
                reference = reference_says(schema, test["data"], draft, remotes)
                yield Verdict(draft, path.stem, name, test["valid"], gateway, reference)


def gateway_says(schema: Any, value: Any) -> bool | str:
    """Ask the validator of the doors."""
    try:
        return compile_schema(schema).is_valid(value)
    except ValueError as error:
        return next((why for words, why in REASONS.items() if words in str(error)), f"refused: {error}")


def reference_says(schema: Any, value: Any, draft: str, registry: Any = None) -> bool | str:
    """Ask python-jsonschema; `registry` holds other documents."""
    documents = referencing.Registry() if registry is None else registry
    try:
        return DRAFTS[draft](schema, registry=documents).is_valid(value)
    except (Unresolvable, re.PatternError):  # Python's `re` knows no \p{...}
        return REFUSED


def main() -> int:
    """Run both drafts and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.json_schema_suite", description=__doc__)
    parser.add_argument("directory", type=Path)
    root: Path = parser.parse_args().directory
    unknown = sum(_report(draft, list(verdicts(root, draft))) for draft in DRAFTS)
    return 1 if unknown else 0


def _report(draft: str, found: list[Verdict]) -> int:
    refused = [verdict for verdict in found if isinstance(verdict.gateway, str)]
    checked = [verdict for verdict in found if not isinstance(verdict.gateway, str)]
    alone = sum(verdict.right and verdict.reference == REFUSED for verdict in checked)
    differing = [verdict for verdict in checked if not verdict.right]
    unknown = [verdict for verdict in differing if verdict.file not in ON_PURPOSE]
    print(f"{draft}: {len(found)} required tests, {len(refused)} refused, {len(checked)} checked")
    print(f"  both as the suite expects: {len(checked) - len(differing) - alone}; the gateway alone: {alone}")
    print(f"  differing on purpose: {len(differing) - len(unknown)}, otherwise: {len(unknown)}")
    for (why, file), times in Counter((verdict.gateway, verdict.file) for verdict in refused).items():
        print(f"  {why}, in {file}: {times}")
    for verdict in differing:
        answers = f"expected {verdict.expected}, gateway {verdict.gateway}, reference {verdict.reference}"
        print(f"  {verdict.file}: {verdict.test}: {answers}")
    return len(unknown) + sum(verdict.gateway not in REASONS.values() for verdict in refused)


def _with_draft(schema: Any, draft: str) -> Any:
    """Name the draft, since a schema without `$schema` is one of 2020-12 to the gateway."""
    return {"$schema": IDS[draft], **schema} if isinstance(schema, Mapping) else schema


def _remotes(root: Path, draft: str) -> Any:
    """Give the documents that the suite says are at localhost:1234."""
    specification = DRAFT202012 if draft == "draft2020-12" else DRAFT7
    others = {"draft3", "draft4", "draft6", "draft7", "draft2019-09", "draft2020-12", "v1"} - {draft}
    paths = [path for path in (root / "remotes").rglob("*.json") if not others & set(path.parts)]
    resources = [
        (f"http://localhost:1234/{path.relative_to(root / 'remotes').as_posix()}", json.loads(path.read_text()))
        for path in paths
    ]
    pairs = [(uri, referencing.Resource.from_contents(value, specification)) for uri, value in resources]
    return jsonschema_specifications.REGISTRY.with_resources(pairs)


if __name__ == "__main__":
    sys.exit(main())

"""docs/policy.md: its examples are sound, its table has every key."""

import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from sallyport_cli.policy.schema import policy_schema
from sallyport_cli.policy.yaml_reading import parse_yaml
from tests.unit.cli.policy.documents import problems, read

PAGE = (Path(__file__).parents[4] / "docs" / "policy.md").read_text()
BROKEN = """\
version: 1
identity:
  issuers:
    - issuer: https://login.example.com/
      audiences: [https://ai.example.com]
      leeway: 60
      algorithms: [RS256]
access:
  deny: [203.0.113.7/24]
  countries: {deny: [UK], allow: []}
"""


def test_every_example_can_be_applied_as_it_stands() -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert examples
    for example in examples:
        assert read(example).warnings == ()
        Draft202012Validator(policy_schema()).validate(parse_yaml(example).values)


def test_the_mistakes_that_it_shows_are_told_so() -> None:
    for line in problems(BROKEN):
        assert line in PAGE


def test_every_key_is_in_the_table() -> None:
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    for name in keys(policy_schema()):
        assert re.search(rf"[`.]{name}[`.\[]", rows) or name == "version", name


def keys(schema: Any) -> set[str]:
    """Give the name of every property in a schema."""
    if isinstance(schema, list):
        return set().union(*map(keys, schema))
    if not isinstance(schema, dict):
        return set()
    here = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    return here.union(*map(keys, schema.values()))

"""docs/canary.md and its example: what they say is what there is."""

import re

from bench.canary import EQUAL, GUARD, MINUTES, RUNS, equal_cases
from sallyport.policy.canary_rules import GuardRules
from sallyport_cli.canary.commands import canary
from sallyport_cli.canary.simulate_command import simulate
from sallyport_cli.policy.documents import read_document
from tests.support.aws import ROOT

PAGE = (ROOT / "docs" / "canary.md").read_text()
EXAMPLE = (ROOT / "examples" / "canary" / "policy.yaml").read_text()
BASE = """\
version: 1
upstreams:
  openai-eu: {provider: openai, base_url: https://eu.example.com/v1, region: eu-west-1}
models:
  gpt-4o: {targets: [{upstream: openai-eu, model: gpt-4o}]}
tenants:
  acme: {residency: [eu-west-1]}
"""


def table(heading: str) -> list[str]:
    """Give the first cells of the table under a heading, as far as they are code."""
    rows = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `([a-z]+)", rows, re.MULTILINE)


def test_every_command_is_in_the_table() -> None:
    assert sorted(table("`sallyport canary`")) == sorted(canary.commands)


def test_the_example_can_be_applied_and_warns_of_the_header_alone() -> None:
    warnings = read_document(EXAMPLE, "policy.yaml", local=True).warnings
    assert [warning.partition("warning: ")[2] for warning in warnings] == [
        "who sends no header x-user stays on one arm by its subject instead"
    ]


def test_the_pages_canary_can_be_applied() -> None:
    found = re.search(r"^```yaml\n(canaries:.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    assert read_document(BASE + found[1], "policy.yaml", local=False).policy.canaries


def test_the_guards_usual_rules_are_told() -> None:
    rules = GuardRules()
    assert f"less than `min_requests` ({rules.min_requests}) or `min_subjects` ({rules.min_subjects})" in PAGE
    assert f"*ever* comes to {1 / rules.alpha:.0f} is at most {rules.alpha * 100:g} %" in PAGE


def test_the_benchmark_is_the_one_that_is_told() -> None:
    said = f"with {EQUAL.requests_per_s:g}\nrequests/s, {EQUAL.rate * 100:g} % failing"
    assert (said in PAGE, f"plays {RUNS:,} runs" in PAGE, f"over {MINUTES} minutes" in PAGE) == (True, True, True)
    assert (GUARD, len(equal_cases()), EQUAL.weight) == (GuardRules(), 10, 1000)


def test_the_line_that_simulates_is_understood() -> None:
    lines = re.findall(r"^    \.venv/bin/sallyport canary simulate (.*)$", PAGE, re.MULTILINE)
    assert lines
    for line in lines:
        simulate.make_context("simulate", line.split())

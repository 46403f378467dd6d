"""Canaries in words, and percentages as operators type them."""

import math

import pytest

from sallyport.policy.canary_rules import CanaryMatch, CanaryRules, CanaryStep, GuardRules
from sallyport.policy.upstream_rules import Target
from sallyport_cli.canary.options import read_share, read_weight
from sallyport_cli.canary.words import (
    duration_text,
    guard_text,
    match_text,
    moment_text,
    steps_text,
    subject_text,
    target_text,
)

STEPS = (CanaryStep(100, 600), CanaryStep(1050, 3600), CanaryStep(10_000))
MATCH = CanaryMatch(tenants=("acme", "zoo"), claims=(("plan", "be\x1bta"),), headers=(("x-beta", "1"),))
RULES = CanaryRules(
    "next", ("gpt-4o",), (), (), Target("eu", "gpt-next", ("eu-west-1",)), {"temperature": 0.2}, STEPS, match=MATCH
)


@pytest.mark.parametrize(
    ("text", "weight"), [("0", 0), ("5", 500), ("0.25", 25), ("12.5 %", 1250), ("100%", 10_000), ("100.00", 10_000)]
)
def test_a_percentage_is_read_exactly(text: str, weight: int) -> None:
    assert read_weight(text) == weight
    assert read_share(text) == weight / 10_000


@pytest.mark.parametrize("text", ["", "-1", "100.01", "101", "5.123", "1e1", "five", "5,5", "\u0665", "nan"])
def test_other_percentages_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="isn't a percentage"):
        read_weight(text)


def test_a_canary_is_told_in_words() -> None:
    assert subject_text(RULES) == "model gpt-4o"
    assert target_text(RULES) == "eu/gpt-next, temperature=0.2"
    assert match_text(RULES) == "tenants acme, zoo; claim plan=be?ta; header x-beta: 1"
    assert steps_text(STEPS, 1) == "1 % 10m > [10.5 % 1h] > 100 %"


def test_a_canary_without_a_model_of_its_own_leads_to_an_upstream() -> None:
    assert target_text(RULES._replace(target=Target("eu", "", ("eu-west-1",)), parameters={})) == "eu"
    assert target_text(RULES._replace(target=None, parameters={"seed": 1})) == "seed=1"


def test_a_guard_is_told_in_words() -> None:
    guard = GuardRules(0.01, 0.02, 200, 20, 8000, 3000, 0.05)
    assert guard_text(guard) == (
        "errors and refusals up to +2.00 points; over 8.0 s up to +5.00 points; "
        "first byte over 3.0 s up to +5.00 points; false alarms 1 %; from 200 requests and 20 subjects on each arm"
    )
    assert guard_text(None) == "off"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(None, "-"), (math.inf, "> 2m"), (0.4, "0 ms"), (430.0, "430 ms"), (1250.0, "1.2 s"), (65_000.0, "1m 5s")],
)
def test_a_duration_is_readable(milliseconds: float | None, text: str) -> None:
    assert duration_text(milliseconds) == text


def test_a_moment_that_is_none_is_a_dash() -> None:
    assert [moment_text(0), moment_text(10**30)] == ["-", "-"]
    assert moment_text(1_700_000_000) == "2023-11-14T22:13:20Z"

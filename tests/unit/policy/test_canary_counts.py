"""Counts of outcomes as items, and added up."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sallyport.policy.canary_counts import (
    ATTRIBUTES,
    BOUNDS_MS,
    BUCKETS,
    KEPT_S,
    Outcomes,
    add_up,
    amounts,
    partition,
    read_items,
    sort_key,
)
from sallyport.policy.compiled_canaries import MAX_HOLD_S
from sallyport.routing.canary import BUCKETS as ROUTED_BUCKETS

BINS = len(BOUNDS_MS) + 1
COUNTS = st.integers(0, 10**15)
OUTCOMES = st.builds(Outcomes, **dict.fromkeys(ATTRIBUTES, COUNTS), histogram=st.tuples(*[COUNTS] * BINS))


def item(arm: str, bucket: int, outcomes: Outcomes) -> dict[str, Any]:
    stored = {name: {"N": str(amount)} for name, amount in amounts(outcomes).items()}
    return {"pk": {"S": "canary#next#1-a"}, "sk": {"S": sort_key(arm, bucket)}, "expires_at": {"N": "5"}, **stored}


@given(OUTCOMES, st.sampled_from(["stable", "canary"]), st.integers(0, BUCKETS - 1))
def test_outcomes_are_read_as_they_were_added(outcomes: Outcomes, arm: str, bucket: int) -> None:
    assert read_items([item(arm, bucket, outcomes)]) == {arm: {bucket: outcomes}}


@given(st.lists(OUTCOMES, max_size=5))
def test_outcomes_add_up_field_by_field(outcomes: list[Outcomes]) -> None:
    total = add_up(outcomes)
    for field in ATTRIBUTES:
        assert getattr(total, field) == sum(getattr(one, field) for one in outcomes)
    assert total.histogram == tuple(sum(one.histogram[place] for one in outcomes) for place in range(BINS))


def test_nothing_adds_up_to_nothing() -> None:
    assert add_up([]) == Outcomes()
    assert read_items([]) == {}


def test_an_outcome_takes_no_more_than_it_has_to_say() -> None:
    assert amounts(Outcomes()) == {"n": 0}
    assert amounts(Outcomes(requests=1, failed=1, duration_ms=5)) == {"n": 1, "e": 1, "d": 5}


def test_no_two_fields_share_an_attribute() -> None:
    names = [*ATTRIBUTES.values(), *(f"h{place}" for place in range(BINS)), "pk", "sk", "expires_at"]
    assert len(set(names)) == len(names)
    assert set(ATTRIBUTES) == set(Outcomes._fields) - {"histogram"}


def test_partitions_and_sort_keys_name_one_place_each() -> None:
    assert (partition("next", "1-a"), sort_key("stable", 7)) == ("canary#next#1-a", "stable#007")
    assert sort_key("canary", BUCKETS - 1) == "canary#127"


def test_callers_are_grouped_as_outcomes_are() -> None:
    assert BUCKETS == ROUTED_BUCKETS


def test_counts_are_kept_for_longer_than_a_step_may_hold() -> None:
    """Callers who have been silent for some of it are still part of what it is judged by."""
    assert KEPT_S > MAX_HOLD_S

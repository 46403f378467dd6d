"""How units fall to the arms: evenly, for good, in every process, and never back out while the weight rises."""

import json
import math
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.policy.canary_rules import CANARY, FULL_WEIGHT, CanaryRules, CanaryState, CanaryStates, CanaryStep
from sallyport.policy.canary_states import dump_states, load_states, with_state
from sallyport.routing.canary import (
    BUCKETS,
    CanaryCaller,
    Unit,
    assign,
    bucket_of,
    initial_state,
    is_in,
    key_of,
)

KEY = bytes(range(32))
SUBJECTS = [Unit("subject", f"acme user-{number}") for number in range(100_000)]
TAIL = 1e-9
"""A fair hash goes beyond the bound as often as this; with a fixed key the test is the same every time."""


def bound(trials: int, share: float) -> float:
    """Bernstein's inequality for a binomial: how far from the mean a count may lie."""
    log = math.log(2 / TAIL)
    return log / 3 + math.sqrt((log / 3) ** 2 + 2 * log * trials * share * (1 - share))


def smallest_weight(key: bytes, name: str, unit: Unit) -> int:
    """Find by halving the smallest weight that a unit is in at."""
    low, high = 0, FULL_WEIGHT
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_in(key, name, unit, middle) else (middle, high)
    return high


@pytest.mark.parametrize("weight", [1, 100, 500, 2500, 5000, 9999])
def test_100_000_subjects_fall_to_the_canary_within_the_binomial_bound(weight: int) -> None:
    share = weight / FULL_WEIGHT
    count = sum(is_in(KEY, "next", unit, weight) for unit in SUBJECTS)
    assert abs(count - len(SUBJECTS) * share) <= bound(len(SUBJECTS), share)


@pytest.mark.parametrize(
    ("key", "name", "weight"),
    [
        (bytes(32), "a", 500),
        (bytes(32), "n" * 40, 5000),
        (key_of(CanaryStates(), "prod"), "a", 5000),
        (key_of(CanaryStates(), "prod"), "parameters", 500),
    ],
    ids=["zeros-short-5", "zeros-long-50", "derived-short-50", "derived-parameters-5"],
)
def test_whatever_key_and_name_100_000_subjects_keep_to_the_bound(key: bytes, name: str, weight: int) -> None:
    share = weight / FULL_WEIGHT
    count = sum(is_in(key, name, unit, weight) for unit in SUBJECTS)
    assert abs(count - len(SUBJECTS) * share) <= bound(len(SUBJECTS), share)


@pytest.mark.parametrize("kind", ["tenant", "key", "header:x-session", "cookie:sid"])
def test_100_000_units_of_every_other_kind_keep_to_the_bound_too(kind: str) -> None:
    count = sum(is_in(KEY, "next", Unit(kind, f"{number:x}"), 1000) for number in range(100_000))
    assert abs(count - 10_000) <= bound(100_000, 0.1)


def test_the_bound_is_tight_enough_to_find_a_hash_that_is_off_by_one_percent() -> None:
    assert bound(len(SUBJECTS), 0.5) < 0.011 * len(SUBJECTS)
    assert bound(len(SUBJECTS), 0.05) < 0.005 * len(SUBJECTS)


def test_nobody_is_in_at_0_and_everybody_at_100_percent() -> None:
    assert not any(is_in(KEY, "next", unit, 0) for unit in SUBJECTS)
    assert all(is_in(KEY, "next", unit, FULL_WEIGHT) for unit in SUBJECTS)


def test_who_is_in_stays_in_when_the_weight_rises() -> None:
    before: set[Unit] = set()
    for weight in (1, 100, 500, 2500, 5000, FULL_WEIGHT):
        now = {unit for unit in SUBJECTS if is_in(KEY, "next", unit, weight)}
        assert before < now
        before = now


@given(
    key=st.binary(min_size=32, max_size=32),
    name=st.from_regex("[a-z0-9-]{1,40}", fullmatch=True),
    value=st.text(max_size=50),
    ramp=st.lists(st.integers(0, FULL_WEIGHT), min_size=2, max_size=20),
)
def test_on_any_ramp_any_unit_enters_once_and_stays(key: bytes, name: str, value: str, ramp: list[int]) -> None:
    unit = Unit("subject", value)
    was_in = [is_in(key, name, unit, weight) for weight in [0, *sorted(ramp), FULL_WEIGHT]]
    assert was_in == sorted(was_in)
    assert (was_in[0], was_in[-1]) == (False, True)
    first = smallest_weight(key, name, unit)
    assert [is_in(key, name, unit, weight) for weight in ramp] == [weight >= first for weight in ramp]


@pytest.mark.parametrize(("one", "other"), [(1000, 5000), (5000, 5000)])
@pytest.mark.parametrize(("key", "name"), [(KEY, "other"), (bytes(32), "next")], ids=["two-names", "two-keys"])
def test_two_canaries_and_two_keys_choose_independently(key: bytes, name: str, one: int, other: int) -> None:
    both = sum(is_in(KEY, "next", unit, one) and is_in(key, name, unit, other) for unit in SUBJECTS)
    share = one * other / FULL_WEIGHT**2
    assert abs(both - len(SUBJECTS) * share) <= bound(len(SUBJECTS), share)


def test_units_of_two_kinds_with_one_value_choose_independently() -> None:
    values = [unit.value for unit in SUBJECTS]
    both = sum(all(is_in(KEY, "next", Unit(kind, value), 5000) for kind in ("key", "tenant")) for value in values)
    assert abs(both - len(values) / 4) <= bound(len(values), 1 / 4)


def test_buckets_are_even_and_independent_of_the_arm() -> None:
    counts = [0] * BUCKETS
    on_canary = [0] * BUCKETS
    for unit in SUBJECTS:
        bucket = bucket_of(KEY, "next", unit)
        counts[bucket] += 1
        on_canary[bucket] += is_in(KEY, "next", unit, 2500)
    for count, in_both in zip(counts, on_canary, strict=True):
        assert abs(count - len(SUBJECTS) / BUCKETS) <= bound(len(SUBJECTS), 1 / BUCKETS)
        assert abs(in_both - count / 4) <= bound(count, 1 / 4)


@pytest.mark.parametrize("weight", [500, 2500, 5000])
def test_arms_by_bucket_are_as_chance_has_them(weight: int) -> None:
    """Pearson's chi-square over 128 buckets; the bound is the 1 - 1e-9 quantile by Wilson and Hilferty (1931)."""
    share, counts = weight / FULL_WEIGHT, [[0, 0] for _ in range(BUCKETS)]
    for unit in SUBJECTS:
        counts[bucket_of(KEY, "next", unit)][is_in(KEY, "next", unit, weight)] += 1
    statistic = sum(
        (on_canary - (stable + on_canary) * share) ** 2 / ((stable + on_canary) * share * (1 - share))
        for stable, on_canary in counts
    )
    spread = 2 / (9 * BUCKETS)
    assert BUCKETS / 2 < statistic < BUCKETS * (1 - spread + 6.0 * math.sqrt(spread)) ** 3


def arms(seed: int = 0) -> list[list[Any]]:
    """Give what becomes of callers of every kind: each with its arm, bucket and run, by canaries of each unit."""
    steps = (CanaryStep(2500, 600), CanaryStep(5000))
    kinds = ("subject", "tenant", "key", "header:x-session", "cookie:sid")
    states = with_state(CanaryStates(), "other", CanaryState("running", 0, 1, "1-0"), "prod")
    found = []
    for kind in kinds:
        rules = CanaryRules("next", ("gpt-4o",), (), (), None, {"seed": 1, "temperature": 0.5}, steps, kind)
        for number in range(seed, seed + 400):
            headers = {"x-session": f"s{number}", "cookie": f"a=b; sid=c{number}; sid=d"}
            caller = CanaryCaller("chat", f"t{number}", f"u{number}", "gpt-4o", key=f"k{number}", headers=headers)
            assignment = assign([rules], states, caller, 1_000_000, "prod")
            assert assignment is not None
            found.append([assignment.arm, assignment.bucket, assignment.run])
    return found


def test_another_process_with_another_hash_seed_chooses_the_same() -> None:
    program = "import json; from tests.unit.routing.test_canary_units import arms; print(json.dumps(arms()))"
    for hash_seed in ("0", "12345"):
        environ = {**os.environ, "PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": hash_seed}
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environ)
        assert json.loads(ended.stdout) == arms()
    assert {arm for arm, _, _ in arms()} == {"stable", "canary"}


def test_a_caller_keeps_its_arm_over_refreshes_of_policy_and_state() -> None:
    def on_canary(version: int, step: int) -> set[str]:
        steps = (CanaryStep(1000, 600), CanaryStep(2500, 600))
        rules = CanaryRules("next", ("gpt-4o",), (), (), None, {"temperature": version}, steps)
        states = CanaryStates(version, KEY.hex(), {"next": CanaryState("running", step, version, f"{version}-0")})
        return {
            subject
            for subject in map(str, range(2000))
            if (found := assign([rules], states, CanaryCaller("chat", "acme", subject, "gpt-4o"), version, "prod"))
            and found.arm == CANARY
        }

    first = on_canary(1, 0)
    assert on_canary(2, 0) == first
    assert on_canary(3, 1) > first


def test_a_caller_keeps_its_arm_over_every_change_that_is_not_the_weight_s() -> None:
    steps = (CanaryStep(2500, 600), CanaryStep(5000))
    rules = CanaryRules("next", ("gpt-4o",), (), (), None, {"temperature": 1}, steps)
    started = with_state(CanaryStates(), "next", initial_state(rules, 1000), "prod")
    paused = with_state(started, "next", started.states["next"]._replace(phase="paused", since_s=2000), "prod")
    other = with_state(paused, "another", CanaryState("rolled_back", 0, 3000, "3-0"), "prod")
    stored = CanaryStates(other.version, other.key, load_states(dump_states(other.states)))
    changed = rules._replace(parameters={"temperature": 0}, models=("gpt-4o", "gpt-5"), guard=None)

    def on_canary(rules: CanaryRules, states: CanaryStates) -> set[str]:
        callers = [CanaryCaller("chat", "acme", str(number), "gpt-4o") for number in range(2000)]
        found = [(caller, assign([rules], states, caller, 1100, "prod")) for caller in callers]
        return {caller.subject for caller, one in found if one and one.arm == CANARY}

    first = on_canary(rules, CanaryStates())
    assert 0 < len(first) < 2000
    for states in (started, paused, other, stored):
        assert on_canary(rules, states) == on_canary(changed, states) == first


def test_the_choice_is_this_one_and_no_other() -> None:
    """OpenSSL's HMAC of it is dcef461bf53ee1cb e8...: whoever changes the hash moves every running canary's callers."""
    unit = Unit("subject", "acme alice")
    first = next(weight for weight in range(FULL_WEIGHT + 1) if is_in(bytes(32), "next", unit, weight))
    assert (first, bucket_of(bytes(32), "next", unit)) == (int("dcef461bf53ee1cb", 16) * FULL_WEIGHT // 2**64 + 1, 104)

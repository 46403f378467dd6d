"""The order of attempts: who comes first, who next, after how long, and when it isn't worth it."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import NoTargetAvailableError
from sallyport.policy.upstream_rules import Target
from sallyport.routing.attempts import (
    MAX_WAIT_S,
    NOT_CONNECTED,
    OTHER,
    RATE_LIMITED,
    SERVER_ERROR,
    SILENT,
    UNFIT,
    Attempts,
    Failure,
    Step,
    retry_after_s,
)
from sallyport.routing.breaker import Breakers

A, B, C = (Target(name, "m", ("eu-west-1",)) for name in "abc")
PLENTY_S = 100.0
FAILED = Failure(SERVER_ERROR)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def most(low: float, high: float) -> float:
    assert low == 0
    return high


def attempts(
    *targets: Target,
    breakers: Breakers | None = None,
    retries: int = 2,
    uniform: Callable[[float, float], float] = most,
) -> Attempts:
    return Attempts(targets, breakers or Breakers(Clock()), retries, uniform)


def opened(*targets: Target) -> Breakers:
    breakers = Breakers(Clock())
    for target in targets:
        for _ in range(5):
            breakers.failed(target.id)
    return breakers


def test_the_most_wanted_target_is_first() -> None:
    assert attempts(A, B).first() == A


def test_an_open_target_is_passed_over() -> None:
    tried = attempts(A, B, C, breakers=opened(A, C))
    assert tried.first() == B
    step = tried.next(B, FAILED, PLENTY_S)
    assert step == Step(B, 0.1)


def test_a_resting_target_comes_last_and_comes() -> None:
    breakers = Breakers(Clock())
    breakers.rest(A.id, 60)
    assert attempts(A, B, breakers=breakers).first() == B
    breakers.rest(B.id, 30)
    assert attempts(A, B, breakers=breakers).first() == A


def test_all_open_is_told_with_the_time_to_come_back() -> None:
    with pytest.raises(NoTargetAvailableError) as caught:
        attempts(A, B, breakers=opened(A, B)).first()
    assert caught.value.headers == {"retry-after": "10", "retry-after-ms": "10000"}


def test_no_target_at_all_is_none_available() -> None:
    with pytest.raises(NoTargetAvailableError):
        attempts().first()


def test_every_target_has_its_turn_at_once_and_then_they_come_round_with_jitter() -> None:
    tried = attempts(A, B, retries=4)
    assert tried.first() == A
    assert tried.next(A, FAILED, PLENTY_S) == Step(B, 0)
    assert tried.next(B, FAILED, PLENTY_S) == Step(A, 0.1)
    assert tried.next(A, FAILED, PLENTY_S) == Step(B, 0.1)
    assert tried.next(B, FAILED, PLENTY_S) == Step(A, 0.2)
    assert tried.next(A, FAILED, PLENTY_S) is None


def test_every_target_has_its_turn_however_few_the_retries() -> None:
    tried = attempts(A, B, C, retries=0)
    tried.first()
    assert tried.next(A, FAILED, PLENTY_S) == Step(B, 0)
    assert tried.next(B, FAILED, PLENTY_S) == Step(C, 0)
    assert tried.next(C, FAILED, PLENTY_S) is None
    alone = attempts(A, retries=0)
    alone.first()
    assert alone.next(A, FAILED, PLENTY_S) is None


def test_the_jitter_is_full_and_never_over_two_seconds() -> None:
    bounds: list[float] = []

    def least(low: float, high: float) -> float:
        bounds.append(high)
        return low

    clock = Clock()
    tried = attempts(A, breakers=Breakers(clock), retries=20, uniform=least)
    tried.first()
    while (step := tried.next(A, Failure(RATE_LIMITED, 0.0), PLENTY_S)) is not None:
        assert step == Step(A, 0)
    assert bounds[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert len(bounds) == 20
    assert max(bounds) == 2


@pytest.mark.parametrize("kind", [RATE_LIMITED, SERVER_ERROR])
def test_a_told_time_is_waited_for(kind: str) -> None:
    tried = attempts(A)
    tried.first()
    assert tried.next(A, Failure(kind, 3.0), PLENTY_S) == Step(A, 3.0)


def test_another_target_does_not_wait_for_the_one_that_asked_to() -> None:
    tried = attempts(A, B)
    tried.first()
    assert tried.next(A, Failure(RATE_LIMITED, 3.0), PLENTY_S) == Step(B, 0)


def test_an_untried_target_that_rests_is_waited_for_unless_that_is_too_long() -> None:
    for rest_s, expected in ((2.0, Step(B, 2.0)), (6.0, Step(A, 0.1))):
        breakers = Breakers(Clock())
        breakers.rest(B.id, rest_s)
        tried = attempts(A, B, breakers=breakers)
        assert tried.first() == A
        assert tried.next(A, FAILED, PLENTY_S) == expected


def test_a_wait_that_is_too_long_or_does_not_fit_is_not_begun() -> None:
    for told_s, left_s in ((MAX_WAIT_S + 0.1, PLENTY_S), (3.0, 3.9), (0.0, 0.9)):
        tried = attempts(A, uniform=lambda low, high: low)
        tried.first()
        assert tried.next(A, Failure(RATE_LIMITED, told_s), left_s) is None


def test_no_other_target_is_begun_in_the_last_second() -> None:
    tried = attempts(A, B)
    tried.first()
    assert tried.next(A, FAILED, 0.9) is None


@pytest.mark.parametrize("failure", [Failure(OTHER), Failure(SILENT), Failure("unheard of")])
def test_what_may_not_be_repeated_is_not_put_to_anyone(failure: Failure) -> None:
    tried = attempts(A, B)
    tried.first()
    assert tried.next(A, failure, PLENTY_S) is None


def test_a_target_that_wants_no_second_try_gets_none_but_another_does() -> None:
    tried = attempts(A, B, retries=5)
    tried.first()
    step = tried.next(A, Failure(SERVER_ERROR, may_retry=False), PLENTY_S)
    assert step is not None
    assert step.target == B
    assert tried.next(B, Failure(SERVER_ERROR, may_retry=False), PLENTY_S) is None


@pytest.mark.parametrize(
    ("kind", "opens"),
    [
        (NOT_CONNECTED, True),
        (SERVER_ERROR, True),
        (SILENT, True),
        (RATE_LIMITED, False),
        (OTHER, False),
        (UNFIT, False),
    ],
)
def test_breakers_count_what_speaks_against_the_target(kind: str, opens: bool) -> None:
    breakers = Breakers(Clock())
    for _ in range(5):
        tried = attempts(A, breakers=breakers)
        tried.first()
        tried.next(A, Failure(kind, may_retry=False), PLENTY_S)
    assert breakers.is_open(A.id) is opens


def test_a_refusal_for_the_rate_rests_a_second_if_it_says_nothing() -> None:
    breakers = Breakers(Clock())
    tried = attempts(A, breakers=breakers)
    tried.first()
    assert tried.next(A, Failure(RATE_LIMITED), PLENTY_S) == Step(A, 1.0)


def test_a_success_is_forgotten_failures() -> None:
    breakers = Breakers(Clock())
    for _ in range(4):
        breakers.failed(A.id)
    attempts(A, breakers=breakers).succeeded(A)
    breakers.failed(A.id)
    assert not breakers.is_open(A.id)


def test_a_target_that_can_not_take_the_request_is_passed_over_and_is_no_attempt() -> None:
    tried = attempts(A, B, retries=1)
    tried.first()
    assert tried.next(A, Failure(UNFIT), PLENTY_S) == Step(B, 0)
    assert tried.next(B, FAILED, PLENTY_S) == Step(B, 0.1)
    assert tried.next(B, FAILED, PLENTY_S) is None


def test_models_without_a_name_of_their_own_have_breakers_of_their_own() -> None:
    breakers, nameless = Breakers(Clock()), Target("default", "", ("eu-west-1",))
    for _ in range(5):
        broken = Attempts([nameless], breakers, 0, most, model="broken")
        broken.first()
        broken.next(nameless, FAILED, PLENTY_S)
    assert Attempts([nameless], breakers, 0, most, model="sound").first() == nameless
    with pytest.raises(NoTargetAvailableError):
        Attempts([nameless], breakers, 0, most, model="broken").first()


def test_a_canarys_failures_at_a_target_keep_nobody_else_from_it() -> None:
    breakers = Breakers(Clock())
    for _ in range(5):
        canary = Attempts([A], breakers, 0, most, arm="next")
        canary.first()
        canary.next(A, FAILED, PLENTY_S)
    assert Attempts([A], breakers, 0, most).first() == A
    with pytest.raises(NoTargetAvailableError):
        Attempts([A], breakers, 0, most, arm="next").first()


FAILURES = st.builds(
    Failure,
    st.sampled_from([NOT_CONNECTED, RATE_LIMITED, SERVER_ERROR, UNFIT, OTHER]),
    st.none() | st.floats(0, 20),
    st.booleans() | st.just(True),
)


@given(st.integers(1, 5), st.integers(0, 5), st.lists(FAILURES, min_size=30, max_size=30), st.floats(0, 60))
def test_attempts_are_few_and_waits_fit(count: int, retries: int, failures: list[Failure], left_s: float) -> None:
    targets = tuple(Target(f"t{number}", "m", ("eu-west-1",)) for number in range(count))
    clock = Clock()
    tried = attempts(*targets, breakers=Breakers(clock), retries=retries)
    target, sent, unfit = tried.first(), 0, set()
    for failure in failures:
        sent += failure.kind != UNFIT
        unfit |= {target} if failure.kind == UNFIT else set()
        step = tried.next(target, failure, left_s - clock.now_s)
        if step is None:
            break
        assert step.target in targets
        assert step.target not in unfit
        assert 0 <= step.wait_s <= min(MAX_WAIT_S, left_s - clock.now_s - 1)
        if step.target == target and failure.retry_after_s is not None and failure.kind == RATE_LIMITED:
            assert step.wait_s > failure.retry_after_s - 1e-6
        clock.now_s += step.wait_s
        target = step.target
    else:
        pytest.fail("the attempts had no end")
    assert sent <= max(retries + 1, count)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 37.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:48:37 GMT"}, 0.0),
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "in a while"}, None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s(headers, 784_111_740.0) == expected


@given(st.text())
def test_nonsense_is_no_time(text: str) -> None:
    found = retry_after_s({"retry-after": text, "retry-after-ms": text}, 0.0)
    assert found is None or 0 <= found < 1e13

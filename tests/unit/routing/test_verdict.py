import pytest

from sallyport.policy.canary_rules import (
    FULL_WEIGHT,
    PAUSED,
    PROMOTED,
    ROLLED_BACK,
    RUNNING,
    STOPPED,
    CanaryRules,
    CanaryState,
    CanaryStep,
    GuardRules,
)
from sallyport.routing.verdict import (
    ADVANCE,
    ERRORS,
    HOLD,
    PROMOTE,
    REFUSALS,
    ROLL_BACK,
    SLOW,
    SLOW_FIRST_TOKEN,
    ArmCounts,
    BucketCounts,
    compare,
    judge,
)

SINCE_S, HOUR_S = 1_800_000_000, 3600
STEPS = (CanaryStep(100, HOUR_S), CanaryStep(1000, HOUR_S), CanaryStep(FULL_WEIGHT))


DEFAULT = GuardRules()


def rules(*steps: CanaryStep, guard: GuardRules | None = DEFAULT) -> CanaryRules:
    return CanaryRules("next", ("gpt-4o",), (), (), None, {"temperature": 0}, steps or STEPS, guard=guard)


def state(phase: str = RUNNING, step: int = 0, weight: int | None = None) -> CanaryState:
    return CanaryState(phase, step, SINCE_S, "1-00000000", weight)


def arm(share: float = 0.01, *, buckets: int = 100, requests: int = 100, slow: float = 0.0) -> ArmCounts:
    """An arm of which these shares failed and were slow, alike in all buckets."""
    counted = BucketCounts(requests, int(requests * share), int(requests * slow), int(requests * slow))
    return ArmCounts((counted,) * buckets)


def test_a_step_that_is_over_and_no_worse_goes_on() -> None:
    verdict = judge(rules(), state(), arm(), arm(), SINCE_S + HOUR_S)
    assert verdict.action == ADVANCE
    assert verdict.reason == "no worse at 1 % for 3600 s; on to 10 %"


def test_a_step_that_is_not_over_is_held() -> None:
    verdict = judge(rules(), state(), arm(), arm(), SINCE_S + HOUR_S - 1)
    assert (verdict.action, verdict.reason) == (HOLD, "no worse at 1 %; the step lasts 1 s more")


def test_a_step_that_is_over_waits_while_the_canary_may_be_worse() -> None:
    one, other = arm(0.0, buckets=20, requests=6), ArmCounts((*(BucketCounts(6, 6),) * 4, *(BucketCounts(6, 0),) * 16))
    verdict = judge(rules(), state(), one, other, SINCE_S + HOUR_S)
    assert verdict.action == HOLD
    assert verdict.reason.startswith("may be worse, so it waits for more data: errors: 20.00 %")
    assert 1 < verdict.measures[0].e_value < verdict.measures[0].threshold


def test_a_step_before_all_traffic_is_promoted() -> None:
    assert judge(rules(), state(step=1), arm(), arm(), SINCE_S + HOUR_S).action == PROMOTE


def test_a_last_step_below_all_traffic_is_held_for_ever() -> None:
    verdict = judge(rules(CanaryStep(500)), state(), arm(), arm(), SINCE_S + 1000 * HOUR_S)
    assert (verdict.action, verdict.reason) == (HOLD, "no worse at 5 %, its last step")


def test_a_step_with_all_traffic_has_nothing_to_be_compared_with() -> None:
    empty = ArmCounts()
    assert judge(rules(), state(step=2), empty, arm(), SINCE_S).action == PROMOTE
    assert judge(rules(), state(weight=FULL_WEIGHT), empty, arm(), SINCE_S).action == HOLD


def test_a_step_that_the_rules_do_not_have_any_more_is_the_last() -> None:
    assert judge(rules(CanaryStep(500)), state(step=7), arm(), arm(), SINCE_S + HOUR_S).action == HOLD


@pytest.mark.parametrize("now_s", [SINCE_S, SINCE_S + HOUR_S])
def test_a_worse_canary_is_rolled_back_whatever_the_clock_says(now_s: int) -> None:
    verdict = judge(rules(), state(), arm(0.01), arm(0.06), now_s)
    assert verdict.action == ROLL_BACK
    assert "errors: 6.00 % of the canary's requests, 1.00 % of stable's" in verdict.reason


def test_a_worse_canary_is_rolled_back_at_a_weight_set_by_hand_and_a_good_one_stays_there() -> None:
    by_hand = state(weight=2500)
    assert judge(rules(), by_hand, arm(0.01), arm(0.06), SINCE_S).action == ROLL_BACK
    verdict = judge(rules(), by_hand, arm(), arm(), SINCE_S + HOUR_S)
    assert (verdict.action, verdict.reason) == (HOLD, "no worse at 25 %, which was set by hand")


def test_a_better_canary_is_never_rolled_back() -> None:
    assert judge(rules(), state(), arm(0.5), arm(0.0), SINCE_S + HOUR_S).action == ADVANCE


@pytest.mark.parametrize(
    ("stable", "canary", "lacking"),
    [
        (arm(), arm(1.0, buckets=9, requests=11), "99 of 100 requests on canary, about 9 of 20 subjects on canary"),
        (arm(), arm(1.0, buckets=18), "about 19 of 20 subjects on canary"),
        (arm(buckets=50, requests=1), arm(1.0), "50 of 100 requests on stable"),
        (ArmCounts(), arm(1.0), "0 of 100 requests on stable, about 0 of 20 subjects on stable"),
    ],
)
def test_too_little_data_is_held_whatever_it_says(stable: ArmCounts, canary: ArmCounts, lacking: str) -> None:
    verdict = judge(rules(), state(), stable, canary, SINCE_S + 1000 * HOUR_S)
    assert (verdict.action, verdict.reason) == (HOLD, f"too little data: {lacking}")


@pytest.mark.parametrize("phase", [PAUSED, ROLLED_BACK, PROMOTED, STOPPED])
def test_what_is_not_running_is_not_judged_but_compared(phase: str) -> None:
    verdict = judge(rules(), state(phase), arm(0.01), arm(0.5), SINCE_S + HOUR_S)
    assert verdict.action == HOLD
    assert [measure.canary_rate for measure in verdict.measures] == [0.5, 0.0]


def test_what_has_no_guard_is_not_judged_but_compared() -> None:
    verdict = judge(rules(guard=None), state(), arm(0.01), arm(0.5), SINCE_S + HOUR_S)
    assert (verdict.action, verdict.reason) == (HOLD, "it has no guard")
    assert verdict.measures[0].is_worse


def test_an_increase_that_may_be_is_let_pass() -> None:
    lenient = rules(guard=GuardRules(max_error_increase=0.05))
    assert judge(lenient, state(), arm(0.01), arm(0.05), SINCE_S).action == HOLD
    assert judge(lenient, state(), arm(0.01), arm(0.10), SINCE_S).action == ROLL_BACK


def test_slowness_is_looked_at_where_the_rules_name_a_time() -> None:
    slow, quick = arm(slow=0.3), arm(slow=0.1)
    assert judge(rules(), state(), quick, slow, SINCE_S).action == HOLD
    for guard in (GuardRules(slow_ms=8000), GuardRules(slow_first_token_ms=3000)):
        verdict = judge(rules(guard=guard), state(), quick, slow, SINCE_S)
        assert verdict.action == ROLL_BACK
        assert verdict.reason.startswith("slow")


def test_measures_share_the_chance_of_a_false_alarm() -> None:
    guard = GuardRules(alpha=0.04, slow_ms=8000, slow_first_token_ms=3000)
    measures = compare(guard, arm(), arm())
    assert [measure.name for measure in measures] == [ERRORS, REFUSALS, SLOW, SLOW_FIRST_TOKEN]
    assert [measure.threshold for measure in measures] == pytest.approx([100] * 4)


def test_a_canary_that_refuses_what_stable_takes_is_rolled_back() -> None:
    refusing = ArmCounts((BucketCounts(100, refused=30),) * 100)
    verdict = judge(rules(), state(), arm(), refusing, SINCE_S)
    assert verdict.action == ROLL_BACK
    assert verdict.reason.startswith("refusals: 30.00 % of the canary's requests, 0.00 % of stable's")


@pytest.mark.parametrize("now_s", [SINCE_S, SINCE_S + HOUR_S])
def test_a_canary_that_fails_for_all_is_rolled_back_though_one_caller_sends_the_most(now_s: int) -> None:
    canary = ArmCounts((BucketCounts(900_000, 450_000), *(BucketCounts(5000, 2500),) * 24))
    verdict = judge(rules(), state(), arm(requests=1_000_000), canary, now_s)
    assert verdict.action == ROLL_BACK
    assert "errors: 50.00 % of the canary's requests" in verdict.reason


def test_a_caller_with_most_of_all_traffic_does_not_take_the_canary_out() -> None:
    """It fails always, as every second caller does on either arm."""
    other = (BucketCounts(100, 100), BucketCounts(100)) * 20
    verdict = judge(
        rules(), state(step=1), ArmCounts(other * 3), ArmCounts((BucketCounts(1_000_000, 1_000_000), *other)), SINCE_S
    )
    measure = verdict.measures[0]
    assert verdict.action == HOLD
    assert measure.low < measure.canary_rate - measure.stable_rate < measure.high + 1e-9
    assert measure.canary_interval.high >= measure.canary_rate


def test_a_canary_without_the_few_who_send_the_most_is_no_worse_for_it() -> None:
    """Callers of little fail at times, on stable too, where callers of much hide it."""
    stable = ArmCounts((*(BucketCounts(195_000, 750),) * 68, *(BucketCounts(15_000, 750),) * 60))
    canary = ArmCounts((BucketCounts(1000, 50),) * 30)
    assert judge(rules(), state(), stable, canary, SINCE_S).action == HOLD


def test_an_arm_sums_its_buckets() -> None:
    counts = ArmCounts((BucketCounts(5, 1), BucketCounts(7), BucketCounts()))
    assert counts.requests == 12
    assert counts.subjects == 2
    assert ArmCounts().subjects == 0


def test_a_bucket_with_more_failures_than_requests_does_no_harm() -> None:
    """Counts are added to while they are read, page by page."""
    verdict = judge(rules(), state(), arm(), ArmCounts((BucketCounts(10, 12),) * 40), SINCE_S)
    assert verdict.measures[0].canary_rate == 1.0

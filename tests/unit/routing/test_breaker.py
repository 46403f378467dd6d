"""Circuit breakers: when they open, for how long, and against a model that counts in plain numbers."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sallyport.routing.breaker import MAX_TARGETS, Breakers


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def opened(clock: Clock, times: int = 5) -> Breakers:
    breakers = Breakers(clock)
    for _ in range(times):
        breakers.failed("a")
    return breakers


def test_four_failures_in_a_row_leave_a_target_closed() -> None:
    breakers = opened(Clock(), 4)
    assert not breakers.is_open("a")
    breakers.succeeded("a")
    for _ in range(4):
        breakers.failed("a")
    assert not breakers.is_open("a")


def test_the_fifth_failure_opens_for_ten_seconds() -> None:
    clock = Clock()
    breakers = opened(clock)
    assert breakers.is_open("a")
    assert not breakers.is_open("b")
    clock.now_s += 9.9
    assert breakers.is_open("a")
    clock.now_s += 0.2
    assert not breakers.is_open("a")


def test_a_failed_trial_doubles_the_time_up_to_a_minute() -> None:
    clock = Clock()
    breakers = opened(clock)
    waits = []
    for _ in range(5):
        waits.append(breakers.retry_in_s(["a"]))
        clock.now_s += waits[-1]
        assert not breakers.is_open("a")
        breakers.failed("a")
        assert breakers.is_open("a")
    assert waits == [10, 20, 40, 60, 60]


def test_a_trial_that_succeeds_closes() -> None:
    clock = Clock()
    breakers = opened(clock)
    clock.now_s += 10
    breakers.succeeded("a")
    breakers.failed("a")
    assert not breakers.is_open("a")


def test_a_rest_demotes_and_does_not_block() -> None:
    clock = Clock()
    breakers = Breakers(clock)
    breakers.rest("a", 3)
    breakers.rest("a", 1)
    assert breakers.is_resting("a")
    assert not breakers.is_open("a")
    assert breakers.rests_for_s("a") == 3
    clock.now_s += 3
    assert not breakers.is_resting("a")


def test_a_rest_is_never_longer_than_five_minutes_and_a_success_ends_it() -> None:
    breakers = Breakers(Clock())
    breakers.rest("a", 1e12)
    assert breakers.rests_for_s("a") == 300
    breakers.succeeded("a")
    assert not breakers.is_resting("a")
    breakers.rest("b", -5)
    assert not breakers.is_resting("b")


def test_the_next_try_is_when_the_first_of_them_may_be_tried() -> None:
    clock = Clock()
    breakers = opened(clock)
    clock.now_s += 4
    for _ in range(5):
        breakers.failed("b")
    assert breakers.retry_in_s(["a", "b"]) == 6
    assert breakers.retry_in_s(["a", "c"]) == 0
    assert breakers.retry_in_s([]) == 0


def test_targets_that_vanish_are_forgotten_the_oldest_first() -> None:
    breakers = opened(Clock())
    for number in range(MAX_TARGETS - 1):
        breakers.rest(f"target-{number}", 60)
    assert breakers.is_open("a")
    breakers.failed("one more")
    assert not breakers.is_open("a")
    assert breakers.is_resting("target-0")


class BreakerMachine(RuleBasedStateMachine):
    """Each target by itself: failures in a row, and the times at which its breaker closes and its rest ends."""

    TARGETS = st.sampled_from(["a", "b", "c"])

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breakers = Breakers(self.clock)
        self.failures = dict.fromkeys("abc", 0)
        self.open_until = dict.fromkeys("abc", 0.0)
        self.rest_until = dict.fromkeys("abc", 0.0)

    @rule(target_id=TARGETS, times=st.integers(1, 6))
    def fail(self, target_id: str, times: int) -> None:
        for _ in range(times):
            self.breakers.failed(target_id)
            self.failures[target_id] += 1
            openings = self.failures[target_id] - 4
            if openings > 0:
                self.open_until[target_id] = self.clock.now_s + min(10 * 2.0 ** (openings - 1), 60)

    @rule(target_id=TARGETS)
    def succeed(self, target_id: str) -> None:
        self.breakers.succeeded(target_id)
        self.failures[target_id] = 0
        self.open_until[target_id] = self.rest_until[target_id] = 0

    @rule(target_id=TARGETS, seconds=st.integers(0, 100))
    def rest(self, target_id: str, seconds: int) -> None:
        self.breakers.rest(target_id, seconds)
        self.rest_until[target_id] = max(self.rest_until[target_id], self.clock.now_s + seconds)

    @rule(seconds=st.integers(0, 70))
    def wait(self, seconds: int) -> None:
        self.clock.now_s += seconds

    @invariant()
    def agrees(self) -> None:
        now_s = self.clock.now_s
        for target_id in "abc":
            assert self.breakers.is_open(target_id) is (now_s < self.open_until[target_id])
            assert self.breakers.is_resting(target_id) is (now_s < self.rest_until[target_id])
            assert 0 <= self.breakers.retry_in_s([target_id]) <= 60
        assert self.breakers.retry_in_s("abc") == max(min(self.open_until.values()) - now_s, 0)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

"""What a request's log line says of its arm."""

from collections.abc import Mapping

import pytest

from sallyport.gateway.canary_outcomes import UNSENT, OutcomeCounter, outcome_of
from sallyport.observability.log import Field
from sallyport.policy.canary_counts import BOUNDS_MS, KEPT_S, CountsError, Outcomes, Place
from sallyport.policy.canary_rules import GuardRules

SENT: dict[str, Field] = {"upstream": "new", "status": 200, "complete": True, "duration_ms": 120.4}
PLACE = Place("next", "0-abc", "canary", 7)


class Counts:
    def __init__(self, *, is_away: bool = False) -> None:
        self.added: list[tuple[Place, Outcomes, int]] = []
        self._is_away = is_away

    def add(self, place: Place, outcomes: Outcomes, expires_at_s: int) -> None:
        if self._is_away:
            raise CountsError("ThrottlingException")
        self.added.append((place, outcomes, expires_at_s))

    def read(self, canary: str, run: str) -> dict[str, dict[int, Outcomes]]:
        raise NotImplementedError


def outcome(fields: Mapping[str, Field], guard: GuardRules | None = None) -> Outcomes:
    found = outcome_of({**SENT, **fields}, guard)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 500},
        {"status": 502, "code": "upstream_unreachable"},
        {"status": 504, "code": "upstream_timeout"},
        {"status": 504, "code": "gateway_timeout"},
        {"status": 200, "complete": False},
        {"status": 200, "complete": False, "code": "upstream_interrupted"},
        {"status": 502, "code": "upstream_credentials_rejected"},
        {"status": 503, "code": "upstream_secret_unavailable"},
        {"status": 200, "failure": "KeyError"},
        {"status": None},
    ],
)
def test_an_arm_has_failed_by_its_own_fault(fields: dict[str, Field]) -> None:
    assert outcome(fields).failed == 1


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"status": 204},
        {"status": 400, "complete": False},
        {"status": 429, "complete": True},
        {"status": 404, "code": "upstream_refused", "complete": None},
    ],
)
def test_an_arm_has_not_failed_where_its_client_is_at_fault(fields: dict[str, Field]) -> None:
    found = outcome(fields)
    assert (found.failed, found.refused) == (0, int(fields.get("status", 200) in {400, 404, 429}))


@pytest.mark.parametrize("code", ["no_target_available", "upstream_secret_unavailable", "internal_error"])
def test_what_an_arm_could_not_send_is_its_failure_and_took_no_time(code: str) -> None:
    fields: dict[str, Field] = {"code": code, "status": 503, "duration_ms": 3.0}
    assert outcome_of(fields, GuardRules(slow_ms=1)) == UNSENT == Outcomes(requests=1, failed=1)


@pytest.mark.parametrize(
    "code",
    ["invalid_request", "rate_limit_exceeded", "limits_unavailable", "gateway_timeout", "service_unavailable", None],
)
def test_what_the_gateway_refused_says_nothing_of_an_arm(code: str | None) -> None:
    assert outcome_of({"code": code, "status": 503}, None) is None


@pytest.mark.parametrize(
    ("duration_ms", "place"), [(0.0, 0), (100, 0), (100.1, 1), (120_000, 10), (120_000.1, len(BOUNDS_MS))]
)
def test_a_duration_is_in_the_bin_that_it_is_not_longer_than(duration_ms: float, place: int) -> None:
    histogram = outcome({"duration_ms": duration_ms}).histogram
    assert (histogram[place], sum(histogram)) == (1, 1)


def test_times_and_tokens_are_added_up_as_they_are() -> None:
    found = outcome({"first_byte_ms": 40.6, "input_tokens": 7, "output_tokens": 3})
    assert (found.duration_ms, found.first_byte_ms, found.input_tokens, found.output_tokens) == (120, 41, 7, 3)


def test_without_a_first_byte_its_time_is_the_whole() -> None:
    assert outcome({}).first_byte_ms == 120


@pytest.mark.parametrize(("limit_ms", "slow"), [(120, 1), (121, 0), (None, 0)])
def test_slow_is_longer_than_the_guard_says(limit_ms: int | None, slow: int) -> None:
    found = outcome({}, GuardRules(slow_ms=limit_ms, slow_first_token_ms=limit_ms))
    assert (found.slow, found.slow_first_byte) == (slow, slow)


def test_an_outcome_is_kept_for_two_weeks() -> None:
    counts = Counts()
    OutcomeCounter(counts, lambda: 1000.9, pytest.fail).count(PLACE, UNSENT)
    assert counts.added == [(PLACE, UNSENT, 1000 + KEPT_S)]


def test_counts_that_are_away_are_told_of_and_raise_nothing() -> None:
    told: list[str] = []
    OutcomeCounter(Counts(is_away=True), lambda: 0.0, told.append).count(PLACE, UNSENT)
    assert told == ["ThrottlingException"]

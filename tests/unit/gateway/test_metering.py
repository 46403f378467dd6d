"""A request's charge where things go wrong inside of the gateway itself."""

import json
from collections.abc import Mapping
from typing import Any

from sallyport.gateway.metering import Asked, Meter, Metering
from sallyport.limits.admission import Admission
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.rules import Cost, Receipt
from sallyport.limits.sliding import SlidingLimiter
from sallyport.limits.totals import Total, UsageTotals
from sallyport.observability.log import Logger
from sallyport.policy.limit_parameters import LimitSettings, parameter_rules
from sallyport.providers.usage import ReportedUsage, Seen
from tests.support.events import ACME

NOW_S = 1_800_000_000.0
CHAT: Mapping[str, Any] = {"model": "gpt-a", "messages": [{"role": "user", "content": "one"}], "max_tokens": 100}
ASKED = Asked("r1", "chat_completions", "/v1/chat/completions", ACME, "198.51.100.7", CHAT, 60.0)


class Totals:
    """Keeps what is added."""

    def __init__(self) -> None:
        self.added: list[tuple[str, Total]] = []

    def add(self, tenant: str, day: str, model: str, total: Total, expires_at_s: int) -> None:
        del day, expires_at_s
        self.added.append((f"{tenant} {model}", total))


class BrokenAnswer:
    """An answer whose reading fails, as none should."""

    @property
    def reported(self) -> ReportedUsage | None:
        raise ArithmeticError

    seen = Seen()


class CutAnswer:
    """A stream that broke off: its beginning told of the input, and then 70 bytes of text came by."""

    reported = None
    seen = Seen(70, 3, begun=ReportedUsage(90_000, 1, 80_000))


class Desk:
    """Metering over memory, with what it told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.totals = Totals()
        self.unsettled: list[Cost] = []
        store = MemoryCounterStore()
        admission = Admission(
            SlidingLimiter(store, self.now_ms), self.no_fallback, self.now_ms, self.lines.append, self.note_unsettled
        )
        logger = Logger("chat", "stack", write=self.lines.append, now=lambda: NOW_S)
        self.metering = Metering(admission, UsageTotals(self.totals, self.lines.append), logger, 500, lambda: NOW_S)
        self.rules = parameter_rules(LimitSettings(requests_per_minute=100, tokens_per_minute=1000))

    def now_ms(self) -> int:
        return int(NOW_S * 1000)

    def no_fallback(self) -> SlidingLimiter:
        raise AssertionError

    def note_unsettled(self, receipt: Receipt, changes: Cost, reason: str) -> None:
        del receipt, reason
        self.unsettled.append(changes)

    def meter(self) -> Meter:
        return self.metering.meter(self.rules, ASKED)

    def remaining(self) -> tuple[str, str]:
        """Give what is left of requests and tokens for a request that isn't forwarded, and so costs nothing."""
        meter = self.meter()
        headers = meter.admit()
        meter.settle()
        return headers["x-ratelimit-remaining-requests"], headers["x-ratelimit-remaining-tokens"]

    def messages(self) -> list[str]:
        return [json.loads(line)["message"] for line in self.lines]


def test_a_request_that_was_not_forwarded_is_refunded_whole_and_adds_nothing_up() -> None:
    desk = Desk()
    before = desk.remaining()
    meter = desk.meter()
    meter.admit()
    assert meter.close() == {"limit": None}
    meter.settle()
    assert desk.remaining() == before
    assert (desk.totals.added, desk.lines) == ([], [])


def test_a_request_that_was_never_admitted_is_nothing_to_settle() -> None:
    desk = Desk()
    meter = desk.meter()
    meter.close()
    meter.settle()
    assert (desk.totals.added, desk.unsettled, desk.lines) == ([], [], [])


def test_a_charge_that_nobody_can_reckon_stays_as_it_was_reserved() -> None:
    desk = Desk()
    requests, tokens = desk.remaining()
    meter = desk.meter()
    meter.admit()
    meter.forward()
    meter.answer = BrokenAnswer()
    failed = False
    try:
        meter.close()
    except ArithmeticError:
        failed = True
    meter.settle()
    assert failed
    left = desk.remaining()
    assert int(requests) - int(left[0]) == 1
    assert int(tokens) - int(left[1]) > CHAT["max_tokens"]
    assert desk.totals.added == []
    assert desk.messages() == ["reservation", "settlement"]


def test_an_upstream_that_says_nothing_is_charged_the_prompt() -> None:
    desk = Desk()
    _, tokens = desk.remaining()
    meter = desk.meter()
    meter.admit()
    meter.forward()
    fields = meter.close()
    meter.settle()
    assert (fields["output_tokens"], fields["usage_estimated"]) == (0, True)
    assert int(tokens) - int(desk.remaining()[1]) == fields["input_tokens"]
    assert [name for name, _ in desk.totals.added] == ["acme gpt-a"]


def test_a_stream_that_broke_off_is_charged_the_input_that_its_beginning_told() -> None:
    desk = Desk()
    meter = desk.meter()
    meter.admit()
    meter.forward()
    meter.answer = CutAnswer()
    meter.close()
    meter.settle()
    ((_, total),) = desk.totals.added
    assert (total.input_tokens, total.cached_input_tokens, total.output_tokens) == (90_000, 80_000, 20)
    assert meter.is_estimated

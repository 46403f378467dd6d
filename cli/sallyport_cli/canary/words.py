"""Canaries in words: whom they are for, where they lead, and their weights, rates and times."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from sallyport.policy.canary_rules import CanaryRules, CanaryState, CanaryStep, GuardRules
from sallyport_cli.limits.durations import span_text
from sallyport_cli.printable import printable

_SECOND_MS, _MINUTE_MS = 1000, 60_000


def weight_text(weight: int) -> str:
    """Give hundredths of a percent as `5 %`."""
    return f"{weight / 100:g} %"


def rate_text(rate: float) -> str:
    """Give a share of 1 as `0.83 %`."""
    return f"{rate * 100:.2f} %"


def points_text(difference: float) -> str:
    """Give a difference of two rates as `+5.10`."""
    return f"{difference * 100:+.2f}"


def duration_text(milliseconds: float | None) -> str:
    """Give a duration as `430 ms`, `1.2 s` or `3m 5s`; `-` where nothing is known."""
    if milliseconds is None:
        return "-"
    if math.isinf(milliseconds):
        return "> 2m"
    if milliseconds < _SECOND_MS:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.1f} s" if milliseconds < _MINUTE_MS else span_text(round(milliseconds))


def moment_text(epoch_s: int) -> str:
    """Give a time; `-` where none is known."""
    try:
        return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if epoch_s else "-"
    except (OverflowError, ValueError, OSError):  # a state that somebody wrote by hand may say anything
        return "-"


def subject_text(rules: CanaryRules) -> str:
    """Give whom a canary is for, such as `model gpt-4o`."""
    kinds = (("model", rules.models), ("route", rules.routes), ("app", rules.apps))
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds if names)


def target_text(rules: CanaryRules) -> str:
    """Give what is different on the canary arm, such as `openai-eu/gpt-next, temperature=0.2`."""
    parts = [] if rules.target is None else [rules.target.id if rules.target.model else rules.target.upstream]
    parts += [f"{name}={json.dumps(value)}" for name, value in rules.parameters.items()]
    return printable(", ".join(parts))


def match_text(rules: CanaryRules) -> str:
    """Give who alone gets it, empty for everyone."""
    match = rules.match
    parts = [f"{name} {', '.join(values)}" for name, values in _lists(rules) if values]
    parts += [f"claim {name}={value}" for name, value in match.claims]
    parts += [f"header {name}: {value}" for name, value in match.headers]
    return printable("; ".join(parts))


def steps_text(steps: tuple[CanaryStep, ...], current: int) -> str:
    """Give all steps with the current one in brackets, such as `1 % 10m > [10 % 1h] > 100 %`."""
    shown = [_step_text(step) for step in steps]
    return " > ".join(f"[{text}]" if place == current else text for place, text in enumerate(shown))


def guard_text(guard: GuardRules | None) -> str:
    """Give when the guard takes a canary out."""
    if guard is None:
        return "off"
    parts = [f"errors and refusals up to {points_text(guard.max_error_increase)} points"]
    if guard.slow_ms is not None:
        parts.append(f"over {duration_text(guard.slow_ms)} up to {points_text(guard.max_slow_increase)} points")
    if guard.slow_first_token_ms is not None:
        first = duration_text(guard.slow_first_token_ms)
        parts.append(f"first byte over {first} up to {points_text(guard.max_slow_increase)} points")
    needs = f"from {guard.min_requests:,} requests and {guard.min_subjects:,} subjects on each arm"
    return f"{'; '.join(parts)}; false alarms {guard.alpha * 100:g} %; {needs}"


def phase_text(state: CanaryState) -> str:
    """Give the phase as people say it."""
    return state.phase.replace("_", " ")


def state_as_json(state: CanaryState | None) -> dict[str, Any] | None:
    """Give a state: the step counted from 1, the weight in percent, null unless it was set by hand."""
    if state is None:
        return None
    return {
        "phase": state.phase,
        "step": state.step + 1,
        "weight": None if state.weight is None else state.weight / 100,
        "since": state.since_s or None,
        "by": state.by,
        "reason": state.reason,
        "run": state.run,
    }


def _lists(rules: CanaryRules) -> tuple[tuple[str, tuple[str, ...]], ...]:
    match = rules.match
    return ("tenants", match.tenants), ("regions", match.regions), ("countries", match.countries)


def _step_text(step: CanaryStep) -> str:
    return f"{weight_text(step.weight)} {span_text(step.hold_s * 1000)}" if step.hold_s else weight_text(step.weight)

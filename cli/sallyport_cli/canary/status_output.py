"""What `sallyport canary status` draws: both arms beside each other, how sure their rates are, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import click

from sallyport.policy.canary_counts import BOUNDS_MS
from sallyport.policy.canary_rules import CANARY, STABLE
from sallyport.routing.verdict import HOLD, ROLL_BACK, Measure
from sallyport_cli.canary.interval_bars import Interval, interval_bar, top_of
from sallyport_cli.canary.percentiles import SHOWN, percentile_ms
from sallyport_cli.canary.standing import Position, Standing
from sallyport_cli.canary.words import (
    duration_text,
    guard_text,
    match_text,
    moment_text,
    phase_text,
    points_text,
    rate_text,
    steps_text,
    subject_text,
    target_text,
    weight_text,
)
from sallyport_cli.limits.bars import Look
from sallyport_cli.limits.durations import span_text
from sallyport_cli.printable import printable

_HEADINGS: Final = (
    "", "REQUESTS", "SUBJECTS", "FAILED", "REFUSED", "P50", "P95", "P99", "FIRST BYTE", "INPUT TOKENS", "OUTPUT TOKENS",
)  # fmt: skip
_COLOURS: Final = {ROLL_BACK: "red", HOLD: "yellow"}


def print_standing(standing: Standing, look: Look) -> None:
    """Print all that is known of a canary. Times are means or percentiles, subjects an estimate."""
    for line in _about(standing.position, standing.now_s):
        print(printable(line))
    print(printable(f"  run     {standing.run}{'' if standing.run == standing.position.run else ', before that'}"))
    print()
    _print_rows([_HEADINGS, *(_arm_row(standing, arm) for arm in (STABLE, CANARY))])
    for measure in standing.verdict.measures:
        print()
        for line in _measure_lines(measure, look):
            print(line)
    print()
    print(_verdict_line(standing, look))


def _about(position: Position, now_s: int) -> Iterator[str]:
    rules, state = position.rules, position.state
    by_hand = ", set by hand" if state.weight is not None and position.weight == state.weight else ""
    yield f"{rules.name}: {phase_text(state)}, {weight_text(position.weight)}{by_hand}"
    yield f"  for     {subject_text(rules)}, sticky by {rules.sticky_by}"
    if match := match_text(rules):
        yield f"  only    {match}"
    yield f"  to      {target_text(rules)}"
    yield f"  steps   {steps_text(rules.steps, position.step)}"
    yield f"  guard   {guard_text(rules.guard)}"
    yield f"  since   {_since(position, now_s)}"


def _since(position: Position, now_s: int) -> str:
    state = position.state
    if not state.since_s:
        return "its first appearance; nobody has touched it"
    about = ": ".join(text for text in (state.by, state.reason) if text)
    lasted = span_text(max(now_s - state.since_s, 0) * 1000)
    return f"{moment_text(state.since_s)}, {lasted} ago" + (f", by {about}" if about else "")


def _arm_row(standing: Standing, arm: str) -> Sequence[str]:
    total = standing.totals[arm]
    timed = sum(total.histogram)  # one that couldn't be sent counts as failed, and has no time
    first_byte_ms = total.first_byte_ms / timed if timed else None
    return (
        arm,
        f"{total.requests:,}",
        f"~{standing.arms[arm].subjects:,}",
        f"{total.failed:,}",
        f"{total.refused:,}",
        *(duration_text(percentile_ms(total.histogram, BOUNDS_MS, share)) for share in SHOWN),
        duration_text(first_byte_ms),
        f"{total.input_tokens:,}",
        f"{total.output_tokens:,}",
    )


def _print_rows(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        first, *others = (
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join((f"  {first}", *others)).rstrip())


def _measure_lines(measure: Measure, look: Look) -> Iterator[str]:
    stable = Interval(measure.stable_interval.low, measure.stable_rate, measure.stable_interval.high)
    canary = Interval(measure.canary_interval.low, measure.canary_rate, measure.canary_interval.high)
    top = top_of(stable, canary)
    sure = 1 - 1 / measure.threshold
    yield f"  {measure.name.replace('_', ' ')}, drawn from 0 % to {top * 100:g} %; intervals of {sure * 100:.4g} %"
    for arm, interval in ((STABLE, stable), (CANARY, canary)):
        drawn = interval_bar(interval, top, look)
        if look.colours and arm == CANARY:
            drawn = click.style(drawn, fg="red" if measure.is_worse else "green")
        yield f"  {arm:<6}  {drawn} {rate_text(interval.rate):>8}  ({_between(interval)})"
    difference = points_text(measure.canary_rate - measure.stable_rate)
    between = f"{points_text(measure.low)} to {points_text(measure.high)}"
    yield f"  difference: {difference} points  ({between}); up to {points_text(measure.allowed)} is let pass"


def _between(interval: Interval) -> str:
    return f"{rate_text(interval.low)} to {rate_text(interval.high)}"


def _verdict_line(standing: Standing, look: Look) -> str:
    verdict = standing.verdict
    action = verdict.action.replace("_", " ")
    shown = click.style(action, fg=_COLOURS.get(verdict.action, "green")) if look.colours else action
    return f"  verdict: {shown}: {printable(verdict.reason)}"

"""What `sallyport canary` prints of canaries and their changes. Nothing that a table holds steers a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sallyport.policy.canary_rules import CanaryRules, CanaryState
from sallyport.routing.canary import current_step, effective_weight
from sallyport_cli.canary.ordering import Done
from sallyport_cli.canary.standing import Position
from sallyport_cli.canary.state_table import Entry
from sallyport_cli.canary.words import moment_text, phase_text, subject_text, target_text, weight_text
from sallyport_cli.policy.operating import IN_FORCE
from sallyport_cli.printable import printable

_HEADINGS: Final = ("NAME", "PHASE", "WEIGHT", "STEP", "FOR", "TO", "STICKY BY", "GUARD", "SINCE")


def print_list(positions: Sequence[Position]) -> None:
    """Print a line for each canary, in the order in which they are asked."""
    rows = [_HEADINGS, *(_row(position) for position in positions)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_done(rules: CanaryRules, done: Done, now_s: int) -> None:
    """Print what a change made of a canary."""
    before, after = (_state_text(rules, state, now_s) for state in (done.before, done.after))
    print(f"{rules.name}: {after} (was {before})")
    print(f"version {done.version}; {IN_FORCE}")


def print_history(entries: Sequence[Entry]) -> None:
    """Print a line for each change."""
    for entry in entries:
        print(printable(_entry_line(entry)))


def _row(position: Position) -> Sequence[str]:
    rules, state = position.rules, position.state
    cells = (
        rules.name,
        phase_text(state),
        weight_text(position.weight),
        f"{position.step + 1} of {len(rules.steps)}",
        subject_text(rules),
        target_text(rules),
        rules.sticky_by,
        "off" if rules.guard is None else "on",
        moment_text(state.since_s),
    )
    return [printable(cell) for cell in cells]


def _state_text(rules: CanaryRules, state: CanaryState, now_s: int) -> str:
    step = current_step(rules, state, now_s)
    weight = weight_text(effective_weight(rules, state, now_s))
    return f"{phase_text(state)} at {weight}, step {step + 1} of {len(rules.steps)}"


def _entry_line(entry: Entry) -> str:
    change = entry.change
    what = "" if change.what == change.by else f"{change.what} "  # of a verdict of the guard's the states say all
    line = f"{entry.version:>6}  {moment_text(change.at_s)}  {change.by}  {what}{change.canary}".rstrip()
    became = f": {_short(entry.before)} -> {_short(entry.after)}" if entry.after else ""
    reason = f"  ({change.reason})" if change.reason else ""
    return line + became + reason


def _short(state: CanaryState | None) -> str:
    """Give a state without its canary's rules, which may be others now: the phase, and where it was."""
    if state is None:
        return "untouched"
    where = f"step {state.step + 1}" if state.weight is None else weight_text(state.weight)
    return f"{phase_text(state)} ({where})"

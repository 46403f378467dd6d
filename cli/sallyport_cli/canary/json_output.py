"""What `sallyport canary --json` says. Weights are in percent, rates are shares of 1, times are epoch seconds."""

from __future__ import annotations

import math
from typing import Any

from sallyport.policy.canary_counts import BOUNDS_MS, Outcomes
from sallyport.policy.canary_rules import CANARY, STABLE, GuardRules
from sallyport.routing.verdict import Measure
from sallyport_cli.canary.ordering import Done
from sallyport_cli.canary.percentiles import SHOWN, percentile_ms
from sallyport_cli.canary.standing import Position, Standing
from sallyport_cli.canary.state_table import Entry
from sallyport_cli.canary.words import state_as_json


def position_as_json(position: Position) -> dict[str, Any]:
    """Give what a canary is and how far it has come."""
    rules, state = position.rules, position.state
    return {
        "name": rules.name,
        "phase": state.phase,
        "weight": position.weight / 100,
        "step": position.step + 1,
        "steps": [{"weight": step.weight / 100, "hold_s": step.hold_s} for step in rules.steps],
        "set_by_hand": state.weight is not None,
        "since": state.since_s or None,
        "by": state.by,
        "reason": state.reason,
        "run": position.run,
        "models": list(rules.models),
        "routes": list(rules.routes),
        "apps": list(rules.apps),
        "target": None if rules.target is None else rules.target.id,
        "parameters": dict(rules.parameters),
        "sticky_by": rules.sticky_by,
        "guard": None if rules.guard is None else _guard(rules.guard),
    }


def standing_as_json(standing: Standing) -> dict[str, Any]:
    """Give a canary with what both arms did and the verdict."""
    verdict = standing.verdict
    return {
        **position_as_json(standing.position),
        "counted_run": standing.run,
        "arms": {arm: _arm(standing, arm) for arm in (STABLE, CANARY)},
        "verdict": {
            "action": verdict.action,
            "reason": verdict.reason,
            "measures": [_measure(measure) for measure in verdict.measures],
        },
    }


def done_as_json(name: str, done: Done) -> dict[str, Any]:
    """Give a change that was made."""
    states = {"before": state_as_json(done.before), "after": state_as_json(done.after)}
    return {"version": done.version, "canary": name, **states}


def entry_as_json(entry: Entry) -> dict[str, Any]:
    """Give one change of the history."""
    change = entry.change
    return {
        "version": entry.version,
        "at": change.at_s,
        "by": change.by,
        "what": change.what,
        "canary": change.canary,
        "reason": change.reason,
        "before": state_as_json(entry.before),
        "after": state_as_json(entry.after),
    }


def _guard(rules: GuardRules) -> dict[str, Any]:
    """Give the rules by their names in the policy document."""
    fields = rules._asdict()
    return {"false_alarm": fields.pop("alpha"), **fields}


def _arm(standing: Standing, arm: str) -> dict[str, Any]:
    total = standing.totals[arm]
    return {
        **{name: value for name, value in total._asdict().items() if name != "histogram"},
        "subjects": standing.arms[arm].subjects,
        "percentiles_ms": {f"p{share * 100:g}": _percentile(total, share) for share in SHOWN},
    }


def _percentile(total: Outcomes, share: float) -> float | None:
    """Give a percentile; None also for one that is longer than the histogram tells, as JSON has no infinity."""
    found = percentile_ms(total.histogram, BOUNDS_MS, share)
    return None if found is None or math.isinf(found) else round(found, 1)


def _measure(measure: Measure) -> dict[str, Any]:
    intervals = {
        "stable_interval": list(measure.stable_interval),
        "canary_interval": list(measure.canary_interval),
    }
    return {**measure._asdict(), **intervals, "is_worse": measure.is_worse}

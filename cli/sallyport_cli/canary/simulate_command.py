"""`sallyport canary simulate`: whether a canary's traffic is enough to find what it is to be watched for."""

from __future__ import annotations

import json
from typing import Any, Final

import click

from sallyport.policy.canary_rules import FULL_WEIGHT, GuardRules
from sallyport_cli.canary.options import json_option, read_share, read_weight
from sallyport_cli.canary.simulation import RUNS, Detection, Scenario, time_to_detect
from sallyport_cli.canary.words import rate_text, weight_text
from sallyport_cli.keys.options import reads
from sallyport_cli.limits.durations import read_span, span_text

_MOST_RATE: Final = 100_000.0


@click.command()
@click.option("--rate", "requests_per_s", required=True, type=click.FloatRange(0.001, _MOST_RATE), help="Requests/s.")
@click.option("--weight", required=True, metavar="PERCENT", callback=reads(read_weight), help="The canary's share.")
@click.option(
    "--errors", default="1", show_default=True, metavar="PERCENT", callback=reads(read_share), help="That fail anyway."
)
@click.option(
    "--increase", required=True, metavar="PERCENT", callback=reads(read_share), help="So many more fail on the canary."
)
@click.option("--subjects", type=click.IntRange(min=2), default=2000, show_default=True, help="Callers of both arms.")
@click.option(
    "--alikeness",
    type=click.FloatRange(0, 0.9),
    default=0.0,
    show_default=True,
    help="How alike a caller's own requests are, as a correlation: 0 is not at all.",
)
@click.option(
    "--within", default="24h", show_default=True, metavar="30m|6h|2d", callback=reads(read_span), help="How long."
)
@click.option(
    "--false-alarm", default="1", show_default=True, metavar="PERCENT", callback=reads(read_share), help="The guard's."
)
@click.option("--max-error-increase", default="0", show_default=True, metavar="PERCENT", callback=reads(read_share))
@click.option("--min-requests", type=click.IntRange(min=1), default=GuardRules().min_requests, show_default=True)
@click.option("--min-subjects", type=click.IntRange(min=1), default=GuardRules().min_subjects, show_default=True)
@json_option
def simulate(
    *,
    requests_per_s: float,
    weight: int,
    errors: float,
    increase: float,
    subjects: int,
    alikeness: float,
    within: int,
    false_alarm: float,
    max_error_increase: float,
    min_requests: int,
    min_subjects: int,
    as_json: bool,
) -> None:
    """Say how long a canary of a given badness stays, before its guard has seen enough to take it out.

    Nothing is asked but this machine. With --increase 0 it says how often an equal canary is taken out.
    """
    if not 0 < weight < FULL_WEIGHT:
        raise click.UsageError("--weight must leave something to both arms")
    if not 0 < false_alarm < 1:
        raise click.UsageError("--false-alarm must be between 0 and 100")
    if errors + increase > 1:
        raise click.UsageError("--errors and --increase are more than all requests together")
    scenario = Scenario(requests_per_s, weight, errors, increase, subjects, alikeness)
    guard = GuardRules(false_alarm, max_error_increase, min_requests, min_subjects)
    found = time_to_detect(scenario, guard, within)
    print(json.dumps(_as_json(found, within)) if as_json else _in_words(scenario, found, within))


def _as_json(found: Detection, within_s: int) -> dict[str, Any]:
    return {**found._asdict(), "within_s": within_s, "runs": RUNS}


def _in_words(scenario: Scenario, found: Detection, within_s: int) -> str:
    about = (
        f"{weight_text(scenario.weight)} of {scenario.requests_per_s:g} requests/s by {scenario.subjects:,} subjects, "
        f"{rate_text(scenario.rate)} fail and {rate_text(scenario.increase)} more on the canary"
    )
    times = (("in half of the runs", found.median_s), ("in nine of ten", found.slow_s), ("in all", found.worst_s))
    lines = [f"  {label:<20} {_time(time_s, within_s)}" for label, time_s in times]
    share = f"  {'found':<20} in {found.share * 100:.0f} % of {RUNS} runs within {span_text(within_s * 1000)}"
    return "\n".join([about, *lines, share])


def _time(time_s: float | None, within_s: int) -> str:
    if time_s is None:
        return f"not within {span_text(within_s * 1000)}"
    return f"after {span_text(round(time_s * 1000))} at most"

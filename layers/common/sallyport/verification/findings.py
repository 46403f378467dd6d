"""What was found in a text, as a log may tell it: which rule and what kind, how often, and never the text."""

from collections.abc import Iterable
from typing import NamedTuple


class Finding(NamedTuple):
    """`rule`: its section and name in the policy, such as `leaks/secrets`. `kind`: such as `aws_access_key`."""

    rule: str
    kind: str
    times: int = 1

    def __str__(self) -> str:
        return f"{self.rule}/{self.kind} {self.times}"


def added_up(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Give findings with those of one rule and kind as one, in the order of their first."""
    counts: dict[tuple[str, str], int] = {}
    for finding in findings:
        place = (finding.rule, finding.kind)
        counts[place] = counts.get(place, 0) + finding.times
    return tuple(Finding(*place, count) for place, count in counts.items())

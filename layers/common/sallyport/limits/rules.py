"""What a limit is, and what came of asking it."""

from typing import NamedTuple


class LimitRule(NamedTuple):
    """At most `limit` of `unit` in any `window_s` seconds, for each member of `scope`."""

    scope: str
    unit: str
    limit: int
    window_s: int

    @property
    def name(self) -> str:
        """Names the rule in headers and its counters in the store."""
        return f"{self.unit}_{self.window_s}"


class RuleState(NamedTuple):
    """How one rule stands. `reset_ms`: until it is unused again; `retry_ms`: until a refused request fits."""

    rule: LimitRule
    remaining: int
    reset_ms: int
    retry_ms: int = 0


class Decision(NamedTuple):
    """Admitted, with the rules' states; or refused by `refused_by`, with nothing charged."""

    admitted: bool
    states: tuple[RuleState, ...]
    refused_by: RuleState | None = None

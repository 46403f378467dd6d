"""What came of asking a limit, and what a charge can be undone by."""

from collections.abc import Mapping
from typing import NamedTuple

from sallyport.policy.limit_rules import LimitRule

type Cost = Mapping[str, int]
"""What a request uses, by unit (`policy.limit_rules.UNITS`); usd in nanodollars. A unit that isn't there costs 0."""


class RuleState(NamedTuple):
    """How one rule stands, in its unit.

    `reset_ms`: until nothing of it is used any more if nothing else comes. `retry_ms`: until a refused cost fits, 0
    where it fits now, None where it never will because it alone is over the limit.
    """

    rule: LimitRule
    remaining: int
    reset_ms: int
    retry_ms: int | None = 0


class Charged(NamedTuple):
    """One counter that was charged: by its rule's `counter`, in which window (its number), how much of `unit`."""

    counter: str
    unit: str
    window: int
    amount: int


class Lease(NamedTuple):
    """One place of a concurrency limit that is taken, until it is given back or expires."""

    counter: str
    lease_id: str


class Receipt(NamedTuple):
    """What was charged to one member of one scope. `in_memory`: by the fallback, in this process alone."""

    member: str
    charges: tuple[Charged, ...]
    leases: tuple[Lease, ...] = ()
    in_memory: bool = False


class Decision(NamedTuple):
    """Admitted, with the rules' states and the receipts; or refused by `refused_by`, with nothing charged."""

    admitted: bool
    states: tuple[RuleState, ...]
    refused_by: RuleState | None = None
    receipts: tuple[Receipt, ...] = ()

"""What a store of counters is asked, and what it answers: conditional writes to one item, all of each or nothing."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from sallyport.limits.rules import Lease
from sallyport.limits.window import Counters


class StoreError(Exception):
    """The store of the counters can't be asked, or didn't settle in three tries."""


class UncertainError(StoreError):
    """The store gave no answer to a write that it may have made all the same.

    `lacks_additions`: what was to be added may be missing; adding it, perhaps twice, errs on the safe side.
    """

    lacks_additions = False


class Charge(NamedTuple):
    """One rule's part of a conditional write, in one of three forms. `name` is the rule's counter.

    `continue`: window is `window`, previous at most `previous`, count at most `ceiling`; adds `cost`.
    `roll`: window is `window - 1`, count at most `ceiling`; the count becomes the previous one, `cost` the new one.
    `start`: no counters yet, or of a window before `window - 1`; `cost` is the new count, the previous one 0.
    None for `ceiling` or `previous`: whatever it is.
    """

    form: str
    name: str
    window: int
    cost: int
    ceiling: int | None = None
    previous: int | None = None


class LeaseCharge(NamedTuple):
    """A place to be taken: fewer than `below` are taken, `lease_id` isn't, and `expired` are still what was seen.

    The expired ones (by id, when they expired) go. None for `below`: no place was ever taken. Times are epoch seconds.
    """

    name: str
    lease_id: str
    expires_at_s: int
    below: int | None = None
    expired: tuple[tuple[str, int], ...] = ()


class Adjustment(NamedTuple):
    """A change to the `current` or the `previous` count, on condition that the stored window is `window`.

    What is taken away has to be there; with `empties`, it has not to be, and the count becomes 0.
    """

    name: str
    part: str
    window: int
    change: int
    empties: bool = False


class Stored(NamedTuple):
    """An item: counters and leases (id to expiry in epoch seconds) by the rules' counter names."""

    counters: Mapping[str, Counters]
    leases: Mapping[str, Mapping[str, int]]
    expires_at_s: int = 0


NOTHING = Stored({}, {})


class StoreAnswer(NamedTuple):
    """`applied`: all of the write was made. `stored`: the item as it is after the write, or instead of it."""

    applied: bool
    stored: Stored


class CounterStore(Protocol):
    """Holds one item per scope's member, with the counters of all the rules of that scope."""

    def charge(
        self, key: str, charges: Sequence[Charge], leases: Sequence[LeaseCharge], expires_at_s: int
    ) -> StoreAnswer:
        """Charge all rules of one item if every condition holds, or none of them.

        The item is kept until `expires_at_s`, on condition that it isn't kept for longer; 0 leaves that as it is.
        A charge may be made twice where an answer is lost. Raises `StoreError`.
        """

    def adjust(self, key: str, adjustments: Sequence[Adjustment], releases: Sequence[Lease]) -> StoreAnswer:
        """Change counts and give leases back, which must be there, if every condition holds; or nothing of it.

        Nothing is taken away twice: raises `UncertainError` where an answer is lost, `StoreError` otherwise.
        """

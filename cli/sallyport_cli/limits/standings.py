"""How much of each limit is used now: by the counters in the table, and the router's own arithmetic."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from sallyport.adapters.dynamodb_counters import SORT_KEY, read_item
from sallyport.limits.leases import lease_state
from sallyport.limits.store import NOTHING, Stored
from sallyport.limits.window import Moment, reset_ms, roll, used
from sallyport_cli.keys.batches import LeftUnreadError, read_items
from sallyport_cli.keys.faults import dynamodb_errors
from sallyport_cli.limits.counted import Counted

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class Standing:
    """A counter at a moment, in the rule's unit; `reset_ms`: until nothing is used any more if nothing else comes."""

    counted: Counted
    used: int
    reset_ms: int

    @property
    def remaining(self) -> int:
        """Give what is left, 0 where more than the limit is used."""
        return max(self.counted.rule.limit - self.used, 0)


def standings(
    client: DynamoDBClient,
    table: str,
    counters: Sequence[Counted],
    now_ms: int,
    pause: Callable[[float], None] = time.sleep,
) -> list[Standing]:
    """Read how counters stand, in their order. `pause` waits for so many seconds. Raises click's exception."""
    members = dict.fromkeys(counted.member for counted in counters)
    keys = [{"pk": {"S": f"limit#{member}"}, "sk": {"S": SORT_KEY}} for member in members]
    with dynamodb_errors(table):
        try:
            items = {
                str(item["pk"]["S"]).removeprefix("limit#"): read_item(item)
                for item in read_items(client, table, keys, pause, ConsistentRead=True)
            }
        except LeftUnreadError as error:
            raise click.ClickException(f"table {table}: {error}") from None
        return [standing(counted, items.get(counted.member, NOTHING), now_ms) for counted in counters]


def standing(counted: Counted, stored: Stored, now_ms: int) -> Standing:
    """Tell how a counter stands by what is stored of its member."""
    rule = counted.rule
    if rule.unit == "concurrent":
        state = lease_state(rule, stored.leases.get(rule.counter, {}), now_ms)
        return Standing(counted, rule.limit - state.remaining, state.reset_ms)
    counters = stored.counters.get(rule.counter)
    moment = Moment.at(now_ms, rule.window, counters.window if counters else 0)
    rolled = roll(counters, moment)
    return Standing(counted, used(rolled, moment), reset_ms(rolled, moment))

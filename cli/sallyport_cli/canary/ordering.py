"""Carrying out an operator's order: read the states, change one, write all under the condition that nobody else did."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import click

from sallyport.policy.canary_rules import CanaryRules, CanaryState, CanaryStates
from sallyport.policy.canary_states import (
    CanaryStateStore,
    Change,
    StateConflictError,
    new_key,
    with_state,
)
from sallyport.routing.canary import run_of, state_of
from sallyport_cli.canary.changes import ChangeRefusedError, Order, changed
from sallyport_cli.target import Target

LOCAL_STACK: Final = "sallyport"
"""As `sallyport local` calls its stack unless it is told otherwise."""


@dataclass(frozen=True)
class Done:
    """What became of an order: the canary's state before it and after it, at a version of all states."""

    version: int
    before: CanaryState
    after: CanaryState


def carry_out(
    order: Order,
    rules: CanaryRules,
    store: CanaryStateStore,
    stack: str | None,
    now_s: Callable[[], float] = time.time,
) -> Done:
    """Change a canary's state. Where somebody else was faster it is looked at and tried once more.

    `stack` None: its name isn't known. Raises click's exception for an order that is refused, `StateConflictError` and
    `StateStoreError`.
    """
    try:
        return _carry_out(order, rules, store, stack, int(now_s()))
    except StateConflictError:
        return _carry_out(order, rules, store, stack, int(now_s()))


def stack_of(target: Target) -> str | None:
    """Give the name of a target's stack, None where only its table is known."""
    return target.stack or (LOCAL_STACK if target.is_local else None)


def _carry_out(order: Order, rules: CanaryRules, store: CanaryStateStore, stack: str | None, now_s: int) -> Done:
    before = store.read()
    state = state_of(rules, before)
    try:
        after = changed(order, rules, state, now_s)
    except ChangeRefusedError as error:
        raise click.ClickException(str(error)) from None
    if order.action != "pause":  # whose weight stays, so that its counts go on
        after = after._replace(run=run_of(rules, after, before.version + 1))
    change = Change(now_s, order.by, order.action, rules.name, order.note)
    written = store.write(before, _next(before, rules.name, after, stack), change)
    return Done(written.version, state, written.states[rules.name])


def _next(before: CanaryStates, name: str, state: CanaryState, stack: str | None) -> CanaryStates:
    """Give the next version; its first one keeps the key that the routers have, where it can be known."""
    if before.key or stack is not None:
        return with_state(before, name, state, stack or "")
    click.echo("the stack's name isn't known without --stack: callers are put on their arms anew", err=True)
    return with_state(before._replace(key=new_key()), name, state, "")

"""The commands of `sallyport canary`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from sallyport.policy.canary_rules import PARAMETER_CANARY, CanaryRules, CanaryStates
from sallyport_cli.caller import caller_name
from sallyport_cli.canary.changes import Order
from sallyport_cli.canary.counts_table import read_counts
from sallyport_cli.canary.in_force import (
    PARAMETERS_UNSEEN,
    are_parameters_known,
    canaries_in_force,
    canary_named,
    parameter_option,
)
from sallyport_cli.canary.json_output import done_as_json, entry_as_json, position_as_json, standing_as_json
from sallyport_cli.canary.options import change_options, json_option, step_option, weight_option
from sallyport_cli.canary.ordering import carry_out, stack_of
from sallyport_cli.canary.output import print_done, print_history, print_list
from sallyport_cli.canary.simulate_command import simulate
from sallyport_cli.canary.standing import Position, Standing, run_before, standing_of, version_of
from sallyport_cli.canary.state_table import canary_table
from sallyport_cli.canary.status_output import print_standing
from sallyport_cli.limits.bars import Look
from sallyport_cli.limits.counters_table import counters_option, counters_table
from sallyport_cli.policy.operating import on_target
from sallyport_cli.stack_parameters import Parameters
from sallyport_cli.target import Target


@click.group()
def canary() -> None:
    """Canaries: who gets what is new, how it does, and taking it out."""


canary.add_command(simulate)


@canary.command("list")
@parameter_option
@json_option
@on_target
def list_canaries(*, parameters: Parameters, as_json: bool, target: Target) -> None:
    """List the canaries in force, and how far each has come."""
    canaries, states = _read(target, parameters)
    positions = _positions(canaries, states)
    if as_json:
        print(json.dumps([position_as_json(position) for position in positions]))
        return
    if positions:
        print_list(positions)
    else:
        _tell_none(target, parameters)
    _tell_others(canaries, states, parameters_known=are_parameters_known(target, parameters))


@canary.command()
@click.argument("name", required=False)
@counters_option
@parameter_option
@json_option
@on_target
def status(*, name: str | None, counters: str | None, parameters: Parameters, as_json: bool, target: Target) -> None:
    """Show how a canary does beside the stable arm, and what its guard makes of it; without NAME all of them."""
    canaries, states = _read(target, parameters)
    if name is not None:
        canaries = (canary_named(canaries, name, parameters_known=are_parameters_known(target, parameters)),)
    standings = _standings(target, counters, _positions(canaries, states))
    if as_json:
        found = [standing_as_json(standing) for standing in standings]
        print(json.dumps(found if name is None else found[0]))
        return
    look = Look.of(
        is_terminal=sys.stdout.isatty(), encoding=sys.stdout.encoding or "", no_color=os.environ.get("NO_COLOR", "")
    )
    for number, standing in enumerate(standings):
        print("\n" * bool(number), end="")
        print_standing(standing, look)
    if not standings:
        _tell_none(target, parameters)


@canary.command()
@click.argument("name", required=False, default="")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@json_option
@on_target
def history(*, name: str, limit: int, as_json: bool, target: Target) -> None:
    """List who changed what and why, the newest first; without NAME of all canaries."""
    with canary_table(target) as table:
        entries = table.history(name, limit)
    if as_json:
        print(json.dumps([entry_as_json(entry) for entry in entries]))
        return
    print_history(entries)
    if not entries:
        click.echo(f"{name or 'no canary'} was {'never' if name else 'ever'} changed", err=True)


@canary.command()
@weight_option
@step_option
@change_options
@on_target
def start(*, weight: int | None, step: int | None, **options: Any) -> None:
    """Begin a canary, at its first step unless --weight or --step says otherwise."""
    _check_at_most_one(weight, step)
    _change("start", weight=weight, step=step, **options)


@canary.command("set")
@weight_option
@step_option
@change_options
@on_target
def set_canary(*, weight: int | None, step: int | None, **options: Any) -> None:
    """Give a canary a weight, which then stands until somebody sets a step, or put it on a step of its ramp."""
    _check_at_most_one(weight, step)
    if weight is None and step is None:
        raise click.UsageError("give --weight or --step")
    _change("set", weight=weight, step=step, **options)


@canary.command()
@change_options
@on_target
def pause(**options: Any) -> None:
    """Keep a canary at its weight, and stop judging it."""
    _change("pause", **options)


@canary.command()
@step_option
@change_options
@on_target
def resume(*, step: int | None, **options: Any) -> None:
    """Go on after a pause, or begin again after a rollback, at the first step unless --step says otherwise."""
    _change("resume", step=step, **options)


@canary.command()
@change_options
@on_target
def promote(**options: Any) -> None:
    """Give a canary all traffic."""
    _change("promote", **options)


@canary.command()
@change_options
@on_target
def abort(**options: Any) -> None:
    """Take a canary out: it gets nothing any more until somebody starts it."""
    _change("abort", **options)


def _change(
    action: str,
    *,
    name: str,
    note: str,
    parameters: Parameters,
    as_json: bool,
    target: Target,
    weight: int | None = None,
    step: int | None = None,
) -> None:
    canaries = canaries_in_force(target, parameters)
    rules = canary_named(canaries, name, parameters_known=are_parameters_known(target, parameters))
    order = Order(action, caller_name(target), note, weight, step)
    with canary_table(target) as table:
        done = carry_out(order, rules, table, stack_of(target))
    if as_json:
        print(json.dumps(done_as_json(rules.name, done)))
    else:
        print_done(rules, done, int(time.time()))


def _read(target: Target, parameters: Parameters) -> tuple[tuple[CanaryRules, ...], CanaryStates]:
    canaries = canaries_in_force(target, parameters)
    with canary_table(target) as table:
        return canaries, table.read()


def _positions(canaries: Sequence[CanaryRules], states: CanaryStates) -> list[Position]:
    now_s = int(time.time())
    return [Position.of(rules, states, now_s) for rules in canaries]


def _standings(target: Target, counters: str | None, positions: Sequence[Position]) -> list[Standing]:
    if not positions:
        return []
    client, table, standings = target.client("dynamodb"), counters_table(target, counters), []
    for position in positions:
        with canary_table(target) as states:
            run = run_before(position, states.entry(version_of(position)))
        counted = read_counts(client, table, position.rules.name, run)
        standings.append(standing_of(position, run, counted, int(time.time())))
    return standings


def _check_at_most_one(weight: int | None, step: int | None) -> None:
    if weight is not None and step is not None:
        raise click.UsageError("--weight and --step: give one of them")


def _tell_others(canaries: Sequence[CanaryRules], states: CanaryStates, *, parameters_known: bool) -> None:
    """Name what has a state and isn't in force: a rollback stands by name, also when the canary comes back.

    Whether that of stack parameters is in force isn't known where they aren't.
    """
    known = {rules.name for rules in canaries} | (set() if parameters_known else {PARAMETER_CANARY})
    for name in sorted(set(states.states) - known):
        click.echo(f"not in force any more: {name}, {states.states[name].phase.replace('_', ' ')}", err=True)


def _tell_none(target: Target, parameters: Parameters) -> None:
    click.echo("no canary is in force", err=True)
    if not are_parameters_known(target, parameters):
        click.echo(PARAMETERS_UNSEEN, err=True)

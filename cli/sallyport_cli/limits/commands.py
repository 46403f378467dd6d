"""The commands of `sallyport limits`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import click

from sallyport_cli.keys.faults import dynamodb_errors
from sallyport_cli.keys.options import reads
from sallyport_cli.keys.table import KeyTable
from sallyport_cli.limits.audit_logs import lines_of_file, lines_of_stack
from sallyport_cli.limits.bars import Look
from sallyport_cli.limits.callers import Caller, Part, caller_with_token, callers_of, tenant_of_key
from sallyport_cli.limits.counted import Answer, Question, counters_of
from sallyport_cli.limits.counters_table import counters_option, counters_table
from sallyport_cli.limits.durations import read_span
from sallyport_cli.limits.in_force import rules_in_force
from sallyport_cli.limits.options import parameter_option, whose_options
from sallyport_cli.limits.output import print_standings, refund_in_words, standings_json
from sallyport_cli.limits.parameters import parameters_of
from sallyport_cli.limits.refunds import Refunder
from sallyport_cli.limits.reservations import read_audit
from sallyport_cli.limits.resets import Member, narrowest, reset, to_reset
from sallyport_cli.limits.standings import standings
from sallyport_cli.policy.operating import on_target
from sallyport_cli.stack_parameters import Parameters
from sallyport_cli.target import Target


@dataclass(frozen=True)
class _Whose:
    """Who was named. Empty and None: not named."""

    tenant: str
    key_id: str
    subject: str
    ip: Part | None
    model: str
    everyone: bool = False

    def named(self) -> list[str]:
        """Give the parts of a scope that were named."""
        given = {
            "key": self.key_id,
            "subject": self.subject,
            "ip": self.ip,
            "tenant": self.tenant,
            "model": self.model,
            "global": self.everyone,
        }
        return [part for part, value in given.items() if value]


@click.group()
def limits() -> None:
    """Limits: what is used of them, resets, and what killed functions left charged."""


@limits.command()
@whose_options
@parameter_option
@counters_option
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@on_target
def show(
    *,
    tenant: str,
    key_id: str,
    subject: str,
    ip: Part | None,
    model: str,
    parameters: Parameters,
    counters: str | None,
    output: str,
    target: Target,
) -> None:
    """Show the limits in force for a tenant, and how much of each is used now."""
    if not tenant and not key_id:
        raise click.UsageError("give --tenant or --key")
    table = counters_table(target, counters)
    question = _question(_Whose(tenant, key_id, subject, ip, model), parameters, target)
    answer, now_ms = counters_of(question), time.time_ns() // 1_000_000
    found = standings(target.client("dynamodb"), table, answer.counted, now_ms)
    if output == "json":
        print(standings_json(question.tenant, now_ms, found, answer.unknown))
        return
    look = Look.of(
        is_terminal=sys.stdout.isatty(), encoding=sys.stdout.encoding or "", no_color=os.environ.get("NO_COLOR", "")
    )
    print_standings(found, look)
    _tell_unknown(answer)
    if not found and not answer.unknown:
        click.echo("no limit is in force here", err=True)
    if target.stack is None and not parameters:
        click.echo(
            "stack parameters weren't looked at; where the policy has no limits, their defaults are shown: "
            "give --stack, or --parameter",
            err=True,
        )


@limits.command("reset")
@whose_options
@click.option("--global", "everyone", is_flag=True, help="What everyone shares: limits by route, and global ones.")
@click.option("--rule", "rule_name", default="", help="The counters of this rule alone.")
@click.option("--yes", is_flag=True, help="Without asking.")
@parameter_option
@counters_option
@on_target
def reset_counters(
    *,
    tenant: str,
    key_id: str,
    subject: str,
    ip: Part | None,
    model: str,
    everyone: bool,
    rule_name: str,
    yes: bool,
    parameters: Parameters,
    counters: str | None,
    target: Target,
) -> None:
    """Set counters to nothing: a key's, a subject's, an address's or a tenant's own, by what is named.

    --model beside another one: what counts by model alone. In force at once; an instance that has just refused a
    caller may do so from memory for up to 60 seconds more.
    """
    whose = _Whose(tenant, key_id, subject, ip, model, everyone)
    if not whose.named():
        raise click.UsageError("give --key, --subject, --ip, --tenant, --model or --global")
    if everyone and len(whose.named()) > 1:
        raise click.UsageError("--global goes alone: it is about what everyone shares")
    table = counters_table(target, counters)
    question = _question(whose, parameters, target, with_keys=False)
    members = _of_rule(
        to_reset(counters_of(question).counted, narrowest(whose.named()), by_model=bool(model)), rule_name
    )
    _confirm(members, sure=yes)
    client = target.client("dynamodb")
    with dynamodb_errors(table):
        for member in members:
            _tell_reset(member, reset(client, table, member, whole=not rule_name))


@limits.command()
@click.option(
    "--since", default="1h", show_default=True, metavar="1h|2d", callback=reads(read_span), help="How far back to look."
)
@click.option("--log-file", metavar="FILE", help="JSON lines instead of CloudWatch's, - for stdin.")
@click.option("--dry-run", is_flag=True, help="Only say what would be refunded.")
@counters_option
@on_target
def reconcile(*, since: int, log_file: str | None, dry_run: bool, counters: str | None, target: Target) -> None:
    """Settle what functions had reserved and could not settle: they were killed, or the table was away."""
    now_s = time.time()
    lines = lines_of_stack(target, now_s - since) if log_file is None else lines_of_file(log_file)
    audit = read_audit(lines)
    wanted = audit.open(now_s)
    if wanted:
        table = counters_table(target, counters)
        refunder = Refunder(target.client("dynamodb"), table, now_s, dry_run=dry_run)
        with dynamodb_errors(table):
            for reserved in wanted:
                print(refund_in_words(reserved, refunder.refund(reserved), dry_run=dry_run))
    for note in _notes(len(audit.reserved), audit.running(now_s), audit.uncertain()):
        click.echo(note, err=True)


def _question(whose: _Whose, parameters: Parameters, target: Target, *, with_keys: bool = True) -> Question:
    if whose.subject and (whose.key_id or not whose.tenant):
        raise click.UsageError("--subject goes with --tenant, and without --key")
    rules = rules_in_force(target, parameters_of(target, parameters))
    tenant, callers = _callers(whose, target, with_keys=with_keys)
    return Question(rules, tenant, callers, whose.ip, whose.model)


def _callers(whose: _Whose, target: Target, *, with_keys: bool) -> tuple[str, Sequence[Caller]]:
    """Give the tenant and its callers: the one that was named, or all that have keys."""
    if whose.subject:
        return whose.tenant, [caller_with_token(whose.tenant, whose.subject)]
    if not whose.key_id and not with_keys:
        return whose.tenant, []
    table = KeyTable(target.client("dynamodb"), target.config_table())
    if whose.key_id:
        tenant, caller = tenant_of_key(table, whose.key_id, whose.tenant)
        return tenant, [caller]
    callers, more = callers_of(table, whose.tenant)
    if more:
        click.echo(f"{more:,} more keys aren't shown: name one with --key", err=True)
    return whose.tenant, callers


def _of_rule(members: Sequence[Member], rule_name: str) -> list[Member]:
    """Give the members with the rules of a name alone, if it is given. Raises click's exception if nothing is left."""
    if not rule_name:
        found = list(members)
    else:
        named = ((member, [rule for rule in member.rules if rule.name == rule_name]) for member in members)
        found = [replace(member, rules=rules) for member, rules in named if rules]
    if not found:
        about = f"no rule {rule_name}" if rule_name else "no rule"
        raise click.ClickException(f"{about} in force counts by what was named")
    return found


def _confirm(members: Sequence[Member], *, sure: bool) -> None:
    if sure:
        return
    for member in members:
        click.echo(f"{member.shown}: {', '.join(rule.name for rule in member.rules)}", err=True)
    click.confirm("Set these counters to nothing?", abort=True, err=True)


def _tell_reset(member: Member, rules: Sequence[str]) -> None:
    print(f"{member.shown}: {'reset ' + ', '.join(rules) if rules else 'nothing was counted'}")


def _tell_unknown(answer: Answer) -> None:
    for rule, part in answer.unknown.items():
        option = "key or --subject" if part == "key" else part
        click.echo(f"{rule} isn't shown: it counts by {part}; name one with --{option}", err=True)


def _notes(read: int, running: int, uncertain: int) -> Iterator[str]:
    yield f"reservations read: {read:,}"
    if running:
        yield f"without a settlement but still new: {running:,}"
    if uncertain:
        yield f"with a settlement that may have been made, left alone: {uncertain:,}"

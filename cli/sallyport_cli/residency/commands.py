"""The commands of `sallyport residency`."""

from __future__ import annotations

import sys
from typing import Final

import click

from sallyport_cli.keys.options import read_tenant, reads
from sallyport_cli.policy.operating import on_target
from sallyport_cli.residency.evidence import Evidence, with_evidence
from sallyport_cli.residency.in_force import in_force, parameter_option
from sallyport_cli.residency.output import (
    evidence_json,
    print_evidence,
    print_json,
    print_whereabouts,
    whereabouts_json,
)
from sallyport_cli.residency.prospect_output import print_prospect, prospect_json
from sallyport_cli.residency.prospects import OPERATIONS, Question, prospect
from sallyport_cli.residency.whereabouts import whereabouts
from sallyport_cli.stack_parameters import Parameters
from sallyport_cli.target import Target

_json_option: Final = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_tenant_option: Final = click.option("--tenant", required=True, callback=reads(read_tenant), help="Whose data.")


@click.group()
def residency() -> None:
    """Residency: where data went, whether that can be proved, and where it would go now."""


@residency.command()
@_json_option
@with_evidence
def verify(*, as_json: bool, evidence: Evidence) -> None:
    """Check the audit chains: that no record was altered, removed, exchanged or cut off.

    Exits with 1 unless all of them are whole. Records after a chain's last anchor are linked to it, but whoever writes
    the logs could still cut them off.
    """
    if as_json:
        print_json(evidence_json(evidence))
    else:
        print_evidence(evidence)
    sys.exit(0 if evidence.is_whole else 1)


@residency.command()
@_tenant_option
@_json_option
@with_evidence
def report(*, tenant: str, as_json: bool, evidence: Evidence) -> None:
    """Say where a tenant's data went, and whether anything left its residency.

    Exits with 1 if something did, or if the audit chains aren't whole, so that nothing is proved.
    """
    records = [record for checked in evidence.chains for record in checked.records]
    found = whereabouts(records, tenant, evidence.period.since_s)
    if as_json:
        print_json(whereabouts_json(tenant, found, evidence))
    else:
        print_whereabouts(tenant, found, evidence)
    sys.exit(0 if evidence.is_whole and not found.left else 1)


@residency.command()
@_tenant_option
@click.option("--model", required=True, help="As clients call it.")
@click.option("--operation", type=click.Choice(list(OPERATIONS)), default="chat", show_default=True)
@parameter_option
@_json_option
@on_target
def explain(*, tenant: str, model: str, operation: str, parameters: Parameters, as_json: bool, target: Target) -> None:
    """Show what would become of a request of a tenant now, and why. A key or token may narrow its residency further.

    --region is where the stack is.
    """
    rules = in_force(target, parameters)
    home_region = target.region or str(target.client("dynamodb").meta.region_name)
    question = Question(tenant, model, OPERATIONS[operation], home_region)
    found = prospect(question, rules.door, rules.router)
    if as_json:
        print_json(prospect_json(question, found, rules.router))
    else:
        print_prospect(question, found, rules.router)
    if target.stack is None and not parameters:
        click.echo(
            "stack parameters weren't looked at; where the policy says nothing, their defaults are shown: "
            "give --stack, or --parameter",
            err=True,
        )

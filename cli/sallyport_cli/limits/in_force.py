"""The limits in force: the applied policy's over the stack parameters', by the router's own code."""

from __future__ import annotations

import json

import click

from sallyport.policy.effective import CompiledPolicyError
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport_cli.limits.parameters import rules_of
from sallyport_cli.policy.operating import policy_table
from sallyport_cli.stack_parameters import Parameters
from sallyport_cli.target import Target


def rules_in_force(target: Target, parameters: Parameters) -> RouterRules:
    """Give what the routers of a target go by. Raises click's exception where the policy can't be read."""
    with policy_table(target) as table:
        applied = table.current()
    told = rules_of(parameters)
    if applied is None:
        return told
    try:
        return merge_router(told, json.loads(applied.compiled), applied.version.version)
    except (CompiledPolicyError, ValueError) as error:
        raise click.ClickException(f"policy version {applied.version.version}: {error}") from None

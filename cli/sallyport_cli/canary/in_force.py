"""The canaries in force: the applied policy's over the stack parameters' one, by the functions' own code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import click

from sallyport.policy.canary_parameters import with_canary
from sallyport.policy.canary_rules import PARAMETER_CANARY, CanaryRules
from sallyport.policy.effective import CompiledPolicyError
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport.policy.upstream_parameters import read_canary
from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM
from sallyport.policy.variables import ConfigurationError, Variables
from sallyport_cli.policy.operating import policy_table
from sallyport_cli.residency.in_force import rules_of as regional_rules_of
from sallyport_cli.stack_parameters import Parameters, deployed_parameters, reads_parameters
from sallyport_cli.target import Target

_PLACE: Final = ("UpstreamProvider", "UpstreamBaseUrl", "UpstreamRegion")
_VARIABLES: Final[Mapping[str, str]] = {
    "CanaryWeight": "SALLYPORT_CANARY_WEIGHT",
    "CanaryModel": "SALLYPORT_CANARY_MODEL",
    "CanaryStickyBy": "SALLYPORT_CANARY_STICKY_BY",
    "CanaryUpstreamProvider": "SALLYPORT_CANARY_UPSTREAM_PROVIDER",
    "CanaryUpstreamBaseUrl": "SALLYPORT_CANARY_UPSTREAM_BASE_URL",
    "CanaryUpstreamRegion": "SALLYPORT_CANARY_UPSTREAM_REGION",
    "CanaryUpstreamSecret": "SALLYPORT_CANARY_UPSTREAM_SECRET",
    "UpstreamProvider": "SALLYPORT_UPSTREAM_PROVIDER",
    "UpstreamRegion": "SALLYPORT_UPSTREAM_REGION",
}
_NAMES: Final = tuple(dict.fromkeys((*_PLACE, *_VARIABLES)))
PARAMETERS_UNSEEN: Final = "stack parameters weren't looked at; they may make a canary: give --stack, or --parameter"
_DEFAULTS: Final[Parameters] = {"UpstreamProvider": "openai", "UpstreamRegion": "us-east-1"}
"""The template's, where a canary's upstream takes after the stack's own."""


def rules_of(parameters: Parameters) -> RouterRules:
    """Give the rules by parameters; what isn't among them has the template's default. Raises `ValueError`."""
    router = regional_rules_of({name: parameters[name] for name in _PLACE if name in parameters}).router
    told = {**_DEFAULTS, **parameters}
    environment = {variable: told[name] for name, variable in _VARIABLES.items() if name in told}
    try:
        settings = read_canary(Variables(environment))
    except ConfigurationError as error:
        raise ValueError(_by_parameters(str(error))) from None
    return with_canary(router, settings, router.upstreams[DEFAULT_UPSTREAM])


def _by_parameters(message: str) -> str:
    """Name variables as their parameters are called: nobody here has set a variable."""
    for name, variable in _VARIABLES.items():
        message = message.replace(variable, name)
    return message


def check_parameters(parameters: Parameters) -> Parameters:
    """Give parameters back. Raises `ValueError` for one that says nothing of a canary, or is broken."""
    unknown = sorted(set(parameters) - set(_NAMES))
    if unknown:
        raise ValueError(f"{unknown[0]} is none of {', '.join(_NAMES)}")
    rules_of(parameters)
    return parameters


parameter_option: Final = click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=reads_parameters(check_parameters, "CanaryWeight=5"),
    help="A stack parameter that makes a canary.  [default: those of --stack]",
)


def canaries_in_force(target: Target, given: Parameters) -> tuple[CanaryRules, ...]:
    """Give the canaries that the routers of a target go by; given parameters stand over the stack's.

    Raises click's exception where the policy can't be read.
    """
    parameters = {**deployed_parameters(target, _NAMES, check_parameters), **given}
    with policy_table(target) as table:
        applied = table.current()
    told = rules_of(parameters)
    if applied is None:
        return told.canaries
    version = applied.version.version
    try:
        return merge_router(told, json.loads(applied.compiled), version).canaries
    except (CompiledPolicyError, ValueError) as error:
        raise click.ClickException(f"policy version {version}: {error}") from None


def canary_named(canaries: tuple[CanaryRules, ...], name: str, *, parameters_known: bool) -> CanaryRules:
    """Give the canary of a name. Raises click's exception where there is none."""
    found = next((rules for rules in canaries if rules.name == name), None)
    if found is None:
        known = ", ".join(rules.name for rules in canaries) or "none"
        hint = f"; {PARAMETERS_UNSEEN}" if name == PARAMETER_CANARY and not parameters_known else ""
        raise click.ClickException(f"no canary {name} in force; there are: {known}{hint}")
    return found


def are_parameters_known(target: Target, given: Parameters) -> bool:
    """Tell whether the canary of stack parameters would be seen: somebody has said them, or where they are."""
    return target.stack is not None or bool(given)

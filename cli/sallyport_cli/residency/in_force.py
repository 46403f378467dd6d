"""Residencies and targets in force: the applied policy's over the stack parameters', by the functions' own code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

import click

from sallyport.policy.canary_parameters import with_canary
from sallyport.policy.effective import CompiledPolicyError, merge
from sallyport.policy.limit_parameters import LimitSettings, parameter_rules
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport.policy.rules import AccessRules, DoorRules
from sallyport.policy.upstream_parameters import read_canary, read_upstream
from sallyport.policy.variables import ConfigurationError, Variables
from sallyport_cli.policy.operating import policy_table
from sallyport_cli.stack_parameters import Parameters, deployed_parameters, reads_parameters
from sallyport_cli.target import Target

_DEFAULT_URL: Final = "https://api.openai.com/v1"
_DEFAULTS: Final[Parameters] = {
    "UpstreamProvider": "openai",
    "UpstreamBaseUrl": _DEFAULT_URL,
    "UpstreamRegion": "us-east-1",
    "DefaultResidency": "us-east-1",
    "AllowedRegions": "",
    "Models": "",
    "CanaryWeight": "0",
    "CanaryStickyBy": "subject",
    "CanaryModel": "",
    "CanaryUpstreamBaseUrl": "",
    "CanaryUpstreamRegion": "",
    "CanaryUpstreamSecret": "",
    "CanaryUpstreamProvider": "",
}
"""The template's."""


class InForce(NamedTuple):
    """What both doors go by, as far as regions are concerned."""

    door: DoorRules
    router: RouterRules


def rules_of(parameters: Parameters) -> InForce:
    """Give the rules by parameters; what isn't among them has the template's default. Raises `ValueError`."""
    told = {**_DEFAULTS, **parameters}
    try:
        return _rules(Variables(_environment(told)))
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def check_parameters(parameters: Parameters) -> Parameters:
    """Give parameters back. Raises `ValueError` for one that says nothing of regions, or is broken."""
    unknown = sorted(set(parameters) - set(_DEFAULTS))
    if unknown:
        raise ValueError(f"{unknown[0]} is none of {', '.join(_DEFAULTS)}")
    rules_of(parameters)
    return parameters


parameter_option: Final = click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=reads_parameters(check_parameters, "UpstreamRegion=eu-central-1"),
    help="A stack parameter that says where requests go.  [default: those of --stack]",
)


def in_force(target: Target, given: Parameters) -> InForce:
    """Give what the functions of a target go by; given parameters stand over the stack's. Raises click's exception."""
    parameters = {**deployed_parameters(target, _DEFAULTS, check_parameters), **given}
    with policy_table(target) as table:
        applied = table.current()
    try:
        told = rules_of(parameters)
    except ValueError as error:  # given ones that don't go with the stack's
        raise click.ClickException(str(error)) from None
    if applied is None:
        return told
    version = applied.version.version
    try:
        compiled = json.loads(applied.compiled)
        return InForce(merge(told.door, compiled, version), merge_router(told.router, compiled, version))
    except (CompiledPolicyError, ValueError) as error:
        raise click.ClickException(f"policy version {version}: {error}") from None


def _environment(told: Parameters) -> Mapping[str, str]:
    """Give the functions' variables, as the template makes them of the parameters."""
    return {
        "SALLYPORT_UPSTREAM_PROVIDER": told["UpstreamProvider"],
        "SALLYPORT_UPSTREAM_BASE_URL": _base_url(told),
        "SALLYPORT_UPSTREAM_REGION": told["UpstreamRegion"],
        "SALLYPORT_UPSTREAM_CONNECT_TIMEOUT_S": "5",
        "SALLYPORT_UPSTREAM_IDLE_TIMEOUT_S": "240",
        "SALLYPORT_DEFAULT_RESIDENCY": told["DefaultResidency"],
        "SALLYPORT_ALLOWED_REGIONS": told["AllowedRegions"] or told["DefaultResidency"],
        "SALLYPORT_MODELS": told["Models"],
        "SALLYPORT_CANARY_WEIGHT": told["CanaryWeight"],
        "SALLYPORT_CANARY_STICKY_BY": told["CanaryStickyBy"],
        "SALLYPORT_CANARY_MODEL": told["CanaryModel"],
        "SALLYPORT_CANARY_UPSTREAM_BASE_URL": told["CanaryUpstreamBaseUrl"],
        "SALLYPORT_CANARY_UPSTREAM_REGION": told["CanaryUpstreamRegion"],
        "SALLYPORT_CANARY_UPSTREAM_SECRET": told["CanaryUpstreamSecret"],
        "SALLYPORT_CANARY_UPSTREAM_PROVIDER": told["CanaryUpstreamProvider"],
    }


def _base_url(told: Parameters) -> str:
    region = told["UpstreamRegion"]
    if told["UpstreamProvider"] != "bedrock" or told["UpstreamBaseUrl"] != _DEFAULT_URL:
        return told["UpstreamBaseUrl"]
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://bedrock-runtime.{region}.{suffix}"


def _rules(read: Variables) -> InForce:
    upstream, canary = read_upstream(read).rules, read_canary(read)
    router = parameter_rules(LimitSettings(requests_per_minute=0), read.items("MODELS"))._replace(
        upstreams={upstream.name: upstream}, allowed_regions=frozenset(read.regions("ALLOWED_REGIONS"))
    )
    door = DoorRules(
        version=0,
        api_keys=True,
        issuers=(),
        default_scopes=(),
        access=AccessRules(),
        zones={},
        default_residency=read.regions("DEFAULT_RESIDENCY"),
        tenants={},
    )
    return InForce(door, with_canary(router, canary, upstream))

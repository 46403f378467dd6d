"""The rules that a body is tried by: a document's over the stack parameters', merged as the functions merge them."""

from __future__ import annotations

import json
from typing import Final

import click

from sallyport.policy.effective import CompiledPolicyError
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, UpstreamRules
from sallyport.policy.verification_parameters import LEAK_GUARDS, VerificationSettings, with_verification
from sallyport.policy.verification_rules import MODES, UNKNOWN_FIELDS
from sallyport_cli.policy.compiling import compile_policy
from sallyport_cli.policy.operating import RefusedError, read_policy_file
from sallyport_cli.stack_parameters import Parameters, reads_parameters

CANNOT_TRY: Final = 2
"""The exit code where nothing could be tried; 1 is for a body that is refused."""

_KNOWN: Final = {"ResponseVerification": MODES, "UnknownFields": UNKNOWN_FIELDS, "LeakGuard": LEAK_GUARDS}
_STACKS_UPSTREAM: Final = UpstreamRules(DEFAULT_UPSTREAM, "openai", "https://api.openai.com/v1", "us-east-1")
"""Stands for the upstream of whichever stack parameters there are; nothing is sent to it."""


def check_parameters(parameters: Parameters) -> Parameters:
    """Give parameters back. Raises `ValueError` for one that says nothing of verification, or is broken."""
    for name, value in parameters.items():
        if name not in _KNOWN:
            raise ValueError(f"{name} is none of {', '.join(_KNOWN)}")
        if value not in _KNOWN[name]:
            raise ValueError(f"{name} must be one of {', '.join(_KNOWN[name])}")
    return parameters


parameter_option: Final = click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=reads_parameters(check_parameters, "ResponseVerification=enforce"),
    help=f"A stack parameter: {', '.join(_KNOWN)}.  [default: the template's]",
)


def rules_of(policy: str | None, parameters: Parameters) -> RouterRules:
    """Give what is in force with a document's file, None for none. Raises click's exception, with exit code 2."""
    told = _parameter_rules(parameters)
    if policy is None:
        return told
    try:
        compiled = json.loads(compile_policy(read_policy_file(policy, local=True)))
        return merge_router(told, compiled, 1)
    except RefusedError as error:
        error.exit_code = CANNOT_TRY
        raise
    except CompiledPolicyError as error:
        refusal = click.ClickException(f"{policy}: {error}")
        refusal.exit_code = CANNOT_TRY
        raise refusal from None


def _parameter_rules(parameters: Parameters) -> RouterRules:
    usual = VerificationSettings()
    settings = VerificationSettings(
        parameters.get("ResponseVerification", usual.response),
        parameters.get("UnknownFields", usual.unknown_fields),
        parameters.get("LeakGuard", usual.leak_guard),
    )
    upstreams = {DEFAULT_UPSTREAM: _STACKS_UPSTREAM}
    rules = RouterRules(version=0, limits=(), tenant_limits={}, models=None, upstreams=upstreams)
    return with_verification(rules, settings)

"""Which limits a stack's parameters set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from sallyport.policy.limit_parameters import LimitSettings, parameter_rules
from sallyport.policy.limit_rules import MAX_CONCURRENT, RouterRules
from sallyport_cli.target import Target

type Parameters = Mapping[str, str]

_COUNTS: Final[Mapping[str, tuple[str, int]]] = {
    "RequestsPerMinute": ("requests_per_minute", 1_000_000),
    "TokensPerMinute": ("tokens_per_minute", 10**9),
    "ConcurrentRequests": ("concurrent_requests", MAX_CONCURRENT),
    "TenantRequestsPerMinute": ("tenant_requests_per_minute", 1_000_000),
    "TenantTokensPerMinute": ("tenant_tokens_per_minute", 10**9),
    "IpRequestsPerMinute": ("ip_requests_per_minute", 1_000_000),
}
"""The setting that each parameter is, and the most that the template allows."""
_NAMES: Final = (*_COUNTS, "Models")
_DEFAULTS: Final[Parameters] = {"RequestsPerMinute": "60"}


def rules_of(parameters: Parameters) -> RouterRules:
    """Give the rules by parameters; what isn't among them has the template's default. Raises `ValueError`."""
    told = {**_DEFAULTS, **parameters}
    settings: dict[str, Any] = {
        field: _count(name, told.get(name, "0"), most) for name, (field, most) in _COUNTS.items()
    }
    models = tuple(model.strip() for model in told.get("Models", "").split(",") if model.strip())
    return parameter_rules(LimitSettings(**settings), models)


def check_parameters(parameters: Parameters) -> Parameters:
    """Give parameters back. Raises `ValueError` for one that sets no limit, or that the stack would refuse."""
    unknown = sorted(set(parameters) - set(_NAMES))
    if unknown:
        raise ValueError(f"{unknown[0]} is none of {', '.join(_NAMES)}")
    rules_of(parameters)
    return parameters


def read_parameters(_context: click.Context, _parameter: click.Parameter, texts: Sequence[str]) -> Parameters:
    """Read what `--parameter` was given: click's callback."""
    parameters = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} isn't like RequestsPerMinute=60")
        parameters[name] = value
    try:
        return check_parameters(parameters)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def parameters_of(target: Target, given: Parameters) -> Parameters:
    """Give the stack's parameters, if it is known, and over them those that were given. Raises click's exception."""
    if target.stack is None:
        return given
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

    client = target.client("cloudformation")
    try:
        return {**_stack_parameters(client, target.stack), **given}
    except (BotoCoreError, ClientError, ValueError) as error:
        raise click.ClickException(f"stack {target.stack}: {error}") from None
    except (ResponseParserError, AttributeError, IndexError, KeyError, TypeError):  # an endpoint may be anything at all
        raise click.ClickException(f"stack {target.stack}: that endpoint has no CloudFormation") from None


def _stack_parameters(cloudformation: Any, stack: str) -> Parameters:
    parameters = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Parameters", [])
    found = {parameter["ParameterKey"]: parameter.get("ParameterValue", "") for parameter in parameters}
    return check_parameters({name: found[name] for name in _NAMES if name in found})


def _count(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise ValueError(f"{name}: must be a whole number up to {most:,}")
    return int(text)

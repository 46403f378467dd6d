"""What a deployed stack's parameters say of addresses."""

from __future__ import annotations

from typing import Any

import click

from sallyport_cli.ip.rules import COUNTRY_PARAMETERS, NETWORK_PARAMETERS, Parameters
from sallyport_cli.target import Target


def parameters_of(target: Target, given: Parameters) -> Parameters | None:
    """Give the stack's parameters and, over them, those that were given; None where neither is known."""
    if target.stack is None:
        return given or None
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

    try:
        return {**stack_parameters(target.client("cloudformation"), target.stack), **given}
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        reason = "that endpoint has no CloudFormation" if isinstance(error, ResponseParserError) else str(error)
        raise click.ClickException(f"stack {target.stack}: {reason}") from None


def stack_parameters(cloudformation: Any, stack: str) -> dict[str, str]:
    """Give those parameters of a stack that judge addresses. Raises botocore's errors."""
    parameters = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Parameters", [])
    found = {parameter["ParameterKey"]: parameter.get("ParameterValue", "") for parameter in parameters}
    return {name: found[name] for name in (*NETWORK_PARAMETERS, *COUNTRY_PARAMETERS) if name in found}

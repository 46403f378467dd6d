"""What a deployed stack's parameters say of addresses."""

from __future__ import annotations

from typing import Any

import click

from sallyport_cli.ip.rules import PARAMETERS, Parameters, check_parameters
from sallyport_cli.target import Target


def parameters_of(target: Target, given: Parameters) -> Parameters | None:
    """Give the stack's parameters and, over them, those that were given; None where neither is known.

    Raises click's exception where the stack can't be asked, or has a parameter that the functions couldn't read either.
    """
    if target.stack is None:
        return given or None
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

    client = target.client("cloudformation")
    try:
        return {**stack_parameters(client, target.stack), **given}
    except (BotoCoreError, ClientError, ValueError) as error:
        raise click.ClickException(f"stack {target.stack}: {error}") from None
    except (ResponseParserError, AttributeError, IndexError, KeyError, TypeError):  # an endpoint may be anything at all
        raise click.ClickException(f"stack {target.stack}: that endpoint has no CloudFormation") from None


def stack_parameters(cloudformation: Any, stack: str) -> Parameters:
    """Give those parameters of a stack that judge addresses. Raises botocore's errors, `ValueError` for broken ones."""
    parameters = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Parameters", [])
    found = {parameter["ParameterKey"]: parameter.get("ParameterValue", "") for parameter in parameters}
    return check_parameters({name: found[name] for name in PARAMETERS if name in found})

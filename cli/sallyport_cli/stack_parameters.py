"""Stack parameters as commands read them: those of a deployed stack, and those given by hand as NAME=VALUE."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

from sallyport_cli.target import Target

type Parameters = Mapping[str, str]
type Check = Callable[[Parameters], Parameters]
"""Gives parameters back. Raises `ValueError` for one that is of no use here, or that the stack would refuse."""


def reads_parameters(check: Check, example: str) -> Callable[[object, object, Sequence[str]], Parameters]:
    """Give click's callback for a repeatable option; `example` is what a parameter looks like."""

    def read(_context: object, _parameter: object, texts: Sequence[str]) -> Parameters:
        parameters = {}
        for text in texts:
            name, equals, value = text.partition("=")
            if not equals:
                raise click.BadParameter(f"{text!r} isn't like {example}")
            parameters[name] = value
        try:
            return check(parameters)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return read


def deployed_parameters(target: Target, names: Iterable[str], check: Check) -> Parameters:
    """Give those of the stack's parameters that are named; none where no stack is.

    Raises click's exception where the stack can't be asked, or has one that the functions couldn't read either.
    """
    if target.stack is None:
        return {}
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - the same

    try:
        return stack_parameters(target.client("cloudformation"), target.stack, names, check)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise click.ClickException(f"stack {target.stack}: {error}") from None
    except (ResponseParserError, AttributeError, IndexError, KeyError, TypeError):  # an endpoint may be anything at all
        raise click.ClickException(f"stack {target.stack}: that endpoint has no CloudFormation") from None


def stack_parameters(cloudformation: Any, stack: str, names: Iterable[str], check: Check) -> Parameters:
    """Give those of a stack's parameters that are named. Raises botocore's errors, `ValueError` for broken ones."""
    parameters = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Parameters", [])
    found = {parameter["ParameterKey"]: parameter.get("ParameterValue", "") for parameter in parameters}
    return check({name: found[name] for name in names if name in found})

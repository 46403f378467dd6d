"""What a deployed stack's parameters say of addresses."""

from __future__ import annotations

from typing import Any

from sallyport_cli import stack_parameters as deployed
from sallyport_cli.ip.rules import PARAMETERS, check_parameters
from sallyport_cli.stack_parameters import Parameters
from sallyport_cli.target import Target


def parameters_of(target: Target, given: Parameters) -> Parameters | None:
    """Give the stack's parameters and, over them, those that were given; None where neither is known.

    Raises click's exception where the stack can't be asked, or has a parameter that the functions couldn't read either.
    """
    if target.stack is None:
        return given or None
    return {**deployed.deployed_parameters(target, PARAMETERS, check_parameters), **given}


def stack_parameters(cloudformation: Any, stack: str) -> Parameters:
    """Give those parameters of a stack that judge addresses. Raises botocore's errors, `ValueError` for broken ones."""
    return deployed.stack_parameters(cloudformation, stack, PARAMETERS, check_parameters)

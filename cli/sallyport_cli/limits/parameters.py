"""Which limits a stack's parameters set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sallyport.policy.limit_parameters import LimitSettings, parameter_rules
from sallyport.policy.limit_rules import MAX_CONCURRENT, RouterRules
from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, UpstreamRules
from sallyport_cli.stack_parameters import Parameters, deployed_parameters
from sallyport_cli.target import Target

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
_UPSTREAM: Final = UpstreamRules(DEFAULT_UPSTREAM, "openai", "https://api.openai.com/v1", "us-east-1")
"""A document's models may be at the stack's upstream; to limits it is all the same where that is."""
_DEFAULTS: Final[Parameters] = {"RequestsPerMinute": "60"}


def rules_of(parameters: Parameters) -> RouterRules:
    """Give the rules by parameters; what isn't among them has the template's default. Raises `ValueError`."""
    told = {**_DEFAULTS, **parameters}
    settings: dict[str, Any] = {
        field: _count(name, told.get(name, "0"), most) for name, (field, most) in _COUNTS.items()
    }
    models = tuple(model.strip() for model in told.get("Models", "").split(",") if model.strip())
    return parameter_rules(LimitSettings(**settings), models)._replace(upstreams={DEFAULT_UPSTREAM: _UPSTREAM})


def check_parameters(parameters: Parameters) -> Parameters:
    """Give parameters back. Raises `ValueError` for one that sets no limit, or that the stack would refuse."""
    unknown = sorted(set(parameters) - set(_NAMES))
    if unknown:
        raise ValueError(f"{unknown[0]} is none of {', '.join(_NAMES)}")
    rules_of(parameters)
    return parameters


def parameters_of(target: Target, given: Parameters) -> Parameters:
    """Give the stack's parameters, if it is known, and over them those that were given. Raises click's exception."""
    return {**deployed_parameters(target, _NAMES, check_parameters), **given}


def _count(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= most):
        raise ValueError(f"{name}: must be a whole number up to {most:,}")
    return int(text)

"""Whether the functions can put a compiled policy into force: found out by their own code, before it is stored."""

from __future__ import annotations

import json
from typing import Final

from sallyport.access.networks import NetworkSet
from sallyport.access.source import SourceReader
from sallyport.adapters.dynamodb_policy import CHUNK_CHARS, MAX_CHUNKS
from sallyport.gateway.door import Door
from sallyport.gateway.verifying import CurrentChecks
from sallyport.identity.tokens import TokenVerifier
from sallyport.identity.verification_keys import VerificationKey
from sallyport.policy.compiled_verification import REQUEST_ROUTES
from sallyport.policy.effective import merge
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport.policy.rules import AccessRules, DoorRules
from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, UpstreamRules
from sallyport.verification.openapi.checks import OpenApiChecks
from sallyport.verification.schema import RequestSchema

_NO_PARAMETERS: Final = DoorRules(
    version=0,
    api_keys=True,
    issuers=(),
    default_scopes=(),
    access=AccessRules(),
    zones={},
    default_residency=(),
    tenants={},
)
_STACKS_UPSTREAM: Final = UpstreamRules(DEFAULT_UPSTREAM, "openai", "https://api.openai.com/v1", "us-east-1")
"""Stands for the upstream of whichever stack parameters there are."""
_NO_LIMITS: Final = RouterRules(
    version=0, limits=(), tenant_limits={}, models=None, upstreams={DEFAULT_UPSTREAM: _STACKS_UPSTREAM}
)


class _NoKeys:
    """The keys of an issuer that has none: no token is checked here."""

    def key_for(self, _kid: str | None, _algorithm: str) -> VerificationKey | None:
        """Give none."""
        return None


def check_loadable(compiled: str) -> None:
    """Raise `ValueError` that says why the functions couldn't put a compiled policy into force."""
    most = CHUNK_CHARS * MAX_CHUNKS
    if len(compiled) > most:
        raise ValueError(f"compiled it has {len(compiled):,} characters; a function loads at most {most:,}")
    try:
        rules = merge(_NO_PARAMETERS, json.loads(compiled), 1)
        _check_usable(merge_router(_NO_LIMITS, json.loads(compiled), 1))
        sources = SourceReader(NetworkSet.unpack(rules.access.trusted_proxies), None)
        tokens = TokenVerifier(rules.issuers, lambda _: _NoKeys(), rules.zones, rules.claims_told)
        Door(rules, sources, api_keys=None, tokens=tokens)
    except Exception as error:
        raise ValueError(f"a function can't read it: {str(error) or type(error).__name__}") from error


def _check_usable(rules: RouterRules) -> None:
    """Compile what the routes would for a tenant that no rule names, and the apps' OpenAPI documents."""
    if rules.verification != _NO_LIMITS.verification:
        for route in REQUEST_ROUTES:
            CurrentChecks(route, RequestSchema.built_in(route)).get(rules.verification, "")
    for app in rules.apps.values():
        if app.openapi is not None:
            OpenApiChecks(app.openapi)

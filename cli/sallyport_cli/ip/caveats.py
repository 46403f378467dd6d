"""What `sallyport ip check` doesn't know: said beside its answer, which would promise too much without it."""

from __future__ import annotations

from collections.abc import Iterator

from sallyport_cli.ip.rules import Sources
from sallyport_cli.stack_parameters import Parameters


def knows_no_country(sources: Sources, parameters: Parameters | None) -> bool:
    """Say whether no caller's country is known, because nothing that tells of it is trusted. None: not looked at."""
    return not sources.trusts_a_proxy() and (parameters is not None or sources.has_access())


def caveats(sources: Sources, parameters: Parameters | None, country: str) -> Iterator[str]:
    """Give a line for each. `country` is what was asked for."""
    if parameters is None:
        yield "stack parameters weren't looked at: give --stack, or --parameter"
    if country and knows_no_country(sources, parameters):
        yield f"no proxy is trusted, so no country is known: judged as unknown, not as {country}"
    if sources.requires_origin_secret():
        yield "only requests through a trusted proxy with the origin secret pass; judged is the address that it tells"
    if parameters is not None and parameters.get("WebAcl") == "enabled":
        yield "the web ACL's lists (WafDenyIpv4, WafDenyIpv6) and its rate limit weren't looked at"

"""The effective policy: stack parameters, replaced by the applied document one top-level key at a time.

Two lists are unions: what is denied anywhere is denied, and `sallyport ip` adds to both lists. The operator's command
merges with this same code; nothing here needs pydantic.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sallyport.policy.rules import MAX_CLAIMS_TOLD, NO_NETWORKS, AccessRules, DoorRules, IssuerRules, TenantRules

FORMAT = 1
"""Of the compiled document. A function that doesn't know a stored one's format keeps the last policy it understood.

It is raised when a released function would read less into a document than its writer meant: a new way to refuse, say.
A field that older documents lack is read with a default, so that they can be rolled back to.
"""

LIMITS_FORMAT = 2
"""Of a document with `limits` or `models`, which functions of before would pass over without a word."""

SOVEREIGNTY_FORMAT = 3
"""Of a document that says where requests may go; functions of before would send all of them to the stack's upstream."""

CANARY_FORMAT = 4
"""Of a document with `canaries`, which functions of before would leave out: nobody would learn why nothing happens."""

VERIFICATION_FORMAT = 5
"""Of a document with `verification`, or an application's OpenAPI document: functions of before would check nothing."""

_FORMATS = (FORMAT, LIMITS_FORMAT, SOVEREIGNTY_FORMAT, CANARY_FORMAT, VERIFICATION_FORMAT)
_TUPLES = ("audiences", "algorithms", "tenants", "scopes_claims", "default_scopes")


class CompiledPolicyError(ValueError):
    """A compiled document that this code can't read."""


def merge(parameters: DoorRules, compiled: Mapping[str, Any] | None, version: int) -> DoorRules:
    """Give what is in force: `parameters` alone, or under the compiled document of this version.

    Raises `CompiledPolicyError` for a document of another format, or a broken one.
    """
    if compiled is None:
        return parameters
    check_format(compiled)
    try:
        return _merge(parameters, compiled, version)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CompiledPolicyError(f"the stored policy is broken: {type(error).__name__}") from None


def check_format(compiled: Mapping[str, Any]) -> None:
    """Raise `CompiledPolicyError` for a document that another version wrote, in a form not known here."""
    if compiled.get("format") not in _FORMATS:
        raise CompiledPolicyError("the stored policy's format isn't one this version knows")


def _merge(parameters: DoorRules, compiled: Mapping[str, Any], version: int) -> DoorRules:
    merged = parameters._replace(version=version, access=_access(parameters.access, compiled))
    if "identity" in compiled:
        identity = compiled["identity"]
        issuers = tuple(_issuer(raw, parameters.default_scopes) for raw in identity["issuers"])
        merged = merged._replace(api_keys=identity["api_keys"] is True, issuers=issuers)
    if "residency" in compiled:
        residency = compiled["residency"]
        zones = {zone: tuple(regions) for zone, regions in residency["zones"].items()}
        default = tuple(residency.get("default", parameters.default_residency))
        merged = merged._replace(zones=zones, default_residency=default)
    if "tenants" in compiled:
        merged = merged._replace(tenants={name: _tenant(raw) for name, raw in compiled["tenants"].items()})
    if "canaries" in compiled:
        merged = merged._replace(claims_told=_claims_told(compiled["canaries"]))
    return merged


def _access(parameters: AccessRules, compiled: Mapping[str, Any]) -> AccessRules:
    ip = compiled["ip"]
    merged = parameters
    if "access" in compiled:
        access = compiled["access"]
        merged = AccessRules(
            allow=(access["allow"],),
            deny=(*parameters.deny, access["deny"]),
            trusted_proxies=access["trusted_proxies"],
            origin_secret=access["origin_secret"],
            require_origin_secret=access.get("require_origin_secret", False) is not False,
            countries_allow=frozenset(access["countries"]["allow"]),
            countries_deny=frozenset(access["countries"]["deny"]),
        )
    return merged._replace(allow=(*merged.allow, ip["allow"]), deny=(*merged.deny, ip["deny"]))


def _issuer(raw: Mapping[str, Any], default_scopes: tuple[str, ...]) -> IssuerRules:
    named: dict[str, Any] = {**raw}
    if named["default_scopes"] is None:
        named["default_scopes"] = default_scopes
    return IssuerRules(**named | {name: tuple(named[name]) for name in _TUPLES})


def _claims_told(canaries: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Give the names of all claims that canaries ask for, each once."""
    pairs = [pair for canary in canaries for pair in canary["match"]["claims"]]
    are_pairs = all(isinstance(pair, list) for pair in pairs)  # a text of two letters isn't one
    names = dict.fromkeys(name for name, _ in pairs)
    if len(names) > MAX_CLAIMS_TOLD or not are_pairs or not all(isinstance(name, str) for name in names):
        raise ValueError("the canaries' claims are broken")
    return tuple(names)


def _tenant(raw: Mapping[str, Any]) -> TenantRules:
    return TenantRules(
        residency=None if raw["residency"] is None else tuple(raw["residency"]),
        models=None if raw["models"] is None else tuple(raw["models"]),
        allow=raw.get("allow", NO_NETWORKS),
        deny=raw.get("deny", NO_NETWORKS),
        suspended=raw["suspended"] is not False,
    )

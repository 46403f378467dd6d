"""Where requests may go, read from a compiled document: each part as strictly as if somebody else had written it.

All readers raise `KeyError`, `TypeError`, `AttributeError` or `ValueError` for what is broken; nothing is passed over.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sallyport.policy.bedrock_ids import is_at_bedrock, is_global, regions_by_name
from sallyport.policy.limit_rules import Price
from sallyport.policy.upstream_rules import (
    AUTHENTICATION,
    DEFAULT_UPSTREAM,
    GLOBAL,
    MODELLESS,
    PROVIDERS,
    AppRules,
    Target,
    UpstreamRules,
)
from sallyport.policy.urls import check_url, is_bedrock_url, is_loopback
from sallyport.policy.verification_rules import MODES, REPORT, AnswerRules

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")


def read_upstreams(raw: Mapping[str, Any], secret_prefix: str) -> dict[str, UpstreamRules]:
    """Give a document's upstreams by name, their secrets by their whole names."""
    return {name: _upstream(name, one, secret_prefix) for name, one in raw.items()}


def read_targets(
    raw: Sequence[Mapping[str, Any]], alias: str, upstreams: Mapping[str, UpstreamRules]
) -> tuple[Target, ...]:
    """Give the targets of the model that clients call `alias`."""
    return tuple(_target(one, alias, upstreams) for one in _checked_list(raw))


def read_apps(
    raw: Mapping[str, Any], upstreams: Mapping[str, UpstreamRules], mode: str = REPORT
) -> dict[str, AppRules]:
    """Give a document's apps by name. `mode`: of the answers of one with an OpenAPI document that doesn't say."""
    return {name: _app(one, upstreams, mode) for name, one in raw.items()}


def read_endpoints(raw: Mapping[str, Any]) -> dict[str, str]:
    """Give this gateway's URLs in other regions, by region."""
    return {_region(region): check_url(url) for region, url in raw.items()}


def read_global_tenants(tenants: Mapping[str, Any]) -> frozenset[str]:
    """Give the tenants that may use targets which process anywhere."""
    allowed = {name: raw.get("allow_global", False) for name, raw in tenants.items()}
    _check(all(isinstance(value, bool) for value in allowed.values()))
    return frozenset(name for name, value in allowed.items() if value)


def _upstream(name: str, raw: Mapping[str, Any], secret_prefix: str) -> UpstreamRules:
    secret = _text(raw["secret"])
    read = {
        "name": name,
        "base_url": check_url(_text(raw["base_url"])),
        "region": _region(raw["region"]),
        "secret": secret_prefix + secret if secret else "",
        "hosted_tools": _texts(raw["hosted_tools"]),
    }
    _check(type(raw["store"]) is bool and type(raw["is_proved"]) is bool)
    rules = UpstreamRules(**{**raw, **read})
    _check(rules.provider in PROVIDERS and rules.credential_header in ("", *AUTHENTICATION))
    _check(_is_sound(rules))
    return rules


def _is_sound(rules: UpstreamRules) -> bool:
    """Say whether the fields go together. Bedrock is AWS's own, or an emulator's on this machine."""
    if rules.provider == "bedrock":
        is_aws = is_bedrock_url(rules.base_url, rules.region)
        has_credential = bool(rules.secret or rules.credential_header)
        return rules.is_proved == is_aws and (is_aws or is_loopback(rules.base_url)) and not has_credential
    return not rules.is_proved and (rules.provider != "app" or bool(rules.secret))


def _target(raw: Mapping[str, Any], alias: str, upstreams: Mapping[str, UpstreamRules]) -> Target:
    upstream = upstreams[_text(raw["upstream"])]
    _check(upstream.provider not in MODELLESS)
    regions = _target_regions(raw, raw["model"] or alias, upstream)
    price = None if raw["price"] is None else read_price(raw["price"])
    return Target(upstream.name, _text(raw["model"]), regions, price)


def _target_regions(raw: Mapping[str, Any], model: str, upstream: UpstreamRules) -> tuple[str, ...]:
    """Give the regions of a target. No document knows the region of the stack parameters' upstream: it is added."""
    is_default = upstream.name == DEFAULT_UPSTREAM
    if is_default and raw["regions"] is None:
        return regions_by_name(upstream, model)
    declared = _places(raw["regions"])
    regions = tuple(dict.fromkeys((upstream.region, *declared))) if is_default else declared
    _check(upstream.region in regions)
    _check(GLOBAL in regions or not is_at_bedrock(upstream.provider, upstream.base_url) or not is_global(model))
    return regions


def _app(raw: Mapping[str, Any], upstreams: Mapping[str, UpstreamRules], mode: str) -> AppRules:
    _check(upstreams[_text(raw["upstream"])].provider == "app")
    return AppRules(
        upstream=raw["upstream"],
        tenants=None if raw["tenants"] is None else _texts(raw["tenants"]),
        request_headers=_texts(raw["request_headers"]),
        answer_headers=_texts(raw["answer_headers"]),
        **_verified(raw, mode),
    )


def _verified(raw: Mapping[str, Any], mode: str) -> dict[str, Any]:
    """Give what an app's requests and answers are held to; of one that has no document nothing is looked at."""
    document, said = raw.get("openapi"), raw.get("response")
    if document is None:
        _check(said is None)
        return {}
    _check(isinstance(document, dict) and (said is None or said in MODES))
    return {"openapi": document, "answers": AnswerRules(mode if said is None else said)}


def read_price(raw: Mapping[str, Any]) -> Price:
    """Give a price in picodollars per token."""
    _check(all(type(part) is int and part >= 0 for part in raw.values()))
    return Price(**raw)


def _places(raw: object) -> tuple[str, ...]:
    """Give a target's regions: at least one, and none that isn't one but `GLOBAL`."""
    places = _texts(raw)
    _check(bool(places) and all(place == GLOBAL or _REGION.fullmatch(place) for place in places))
    return places


def _region(raw: object) -> str:
    region = _text(raw)
    _check(_REGION.fullmatch(region) is not None)
    return region


def _texts(raw: object) -> tuple[str, ...]:
    """Give a list of texts; a text alone would be taken for its letters."""
    return tuple(_text(one) for one in _checked_list(raw))


def _checked_list(raw: object) -> list[Any]:
    if not isinstance(raw, list):
        raise TypeError("must be a list")
    return raw


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError("must be a text")
    return raw


def _check(is_sound: object) -> None:
    if not is_sound:
        raise ValueError("an upstream, a target or an app is broken")

"""What a document's limits, models and tenants ask of one another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sallyport.policy.limit_parameters import LimitSettings, parameter_rules
from sallyport.policy.limit_rules import EVERYTHING, MAX_KEY_RULES, MAX_RULES_PER_SCOPE, LimitRule, rule_name
from sallyport_cli.policy.limit_sizes import MAX_ITEM_BYTES, item_bytes
from sallyport_cli.policy.limits import CAPPED_UNITS, ROUTES_WITHOUT_ANSWER, Limit, TenantLimit
from sallyport_cli.policy.yaml_reading import Path

if TYPE_CHECKING:
    from sallyport_cli.policy.model import Policy, Tenant

MAX_SCOPES = 10
"""Each is a write for every request."""
_SHOWN = 6
_OF_PARAMETERS = [rule.name for rule in parameter_rules(LimitSettings(1, 1, 1, 1, 1, 1)).limits]
"""Names of all limits that stack parameters can set."""
_OF_ONE_TENANT = frozenset({"key", "subject", "tenant"})

type Problems = Iterator[tuple[Path, str]]


class _Placed(NamedTuple):
    """A rule, and where in the document it stands."""

    path: Path
    rule: LimitRule


def limit_problems(policy: Policy) -> Problems:
    """Tell what is wrong with limits, by their paths, each thing once."""
    yield from dict.fromkeys(_problems(policy))


def _problems(policy: Policy) -> Problems:
    general = _placed(("limits",), policy.limits or ())
    yield from _double_names(("limits",), policy.limits or ())
    for place, limit in enumerate(policy.limits or ()):
        yield from _unknown_names(policy, ("limits", place), limit)
        yield from _unpriced(policy, ("limits", place), limit, None)
    yield from _crowded(general)
    yield from _shared_problems(policy, general)
    for name, tenant in (policy.tenants or {}).items():
        if tenant.limits:
            yield from _tenant_problems(policy, general, name, tenant)


def limit_warnings(policy: Policy) -> Problems:
    """Tell what is likely meant otherwise: nothing of it is refused."""
    yield from _replaced_by_keys(policy)
    rules = [placed.rule for placed in _all_rules(policy)]
    capped = any(rule.unit in CAPPED_UNITS and _have_answers(rule.match.routes) for rule in rules)
    endless = [name for name, model in (policy.models or {}).items() if _is_endless(model)] if capped else []
    if endless:
        reason = f"warning: without max_output_tokens the stack's MaxOutputTokens is reserved: {_listed(endless)}"
        yield ("models", endless[0]), reason
    for name, tenant in (policy.tenants or {}).items():
        unknown = [model for model in tenant.models or () if policy.models is not None and model not in policy.models]
        if unknown:
            yield ("tenants", name, "models"), f"warning: not in models, so nobody is offered it: {_listed(unknown)}"


def _have_answers(routes: Sequence[str]) -> bool:
    return not routes or not ROUTES_WITHOUT_ANSWER.issuperset(routes)


def _replaced_by_keys(policy: Policy) -> Problems:
    """Tell of limits on some requests that a key's own limit on all of its requests would end."""
    for path, rule in _all_rules(policy):
        if rule.match != EVERYTHING and rule.scope == ("key",) and rule.name == _made_name(rule):
            reason = "a key's own limit of this unit and window stands in its place; give it a name to keep both"
            yield path, f"warning: {reason}"


def _made_name(rule: LimitRule) -> str:
    return rule_name(rule.scope, rule.unit, rule.window)


def _is_endless(model: object) -> bool:
    """Say whether nothing is said of a chat model's answers; a price of 0 for them is that of an embeddings model."""
    price = getattr(model, "price", None)
    return getattr(model, "max_output_tokens", None) is None and not (price is not None and price.output == 0)


def _all_rules(policy: Policy) -> Iterator[_Placed]:
    yield from _placed(("limits",), policy.limits or ())
    for name, tenant in (policy.tenants or {}).items():
        yield from _placed(("tenants", name, "limits"), tenant.limits)


def _placed(path: Path, limits: Sequence[Limit | TenantLimit]) -> list[_Placed]:
    rules = ((place, limit.as_rule()) for place, limit in enumerate(limits))
    return [_Placed((*path, place), rule) for place, rule in rules if rule is not None]


def _tenant_problems(policy: Policy, general: list[_Placed], name: str, tenant: Tenant) -> Problems:
    path: Path = ("tenants", name, "limits")
    yield from _double_names(path, tenant.limits)
    yield from _lifting_nothing(policy, path, tenant.limits)
    for place, limit in enumerate(tenant.limits):
        if not limit.is_lifted:
            yield from _unknown_names(policy, (*path, place), limit)
            yield from _unknown((*path, place, "match", "models"), limit.match.models, tenant.models, "its own models")
            yield from _unpriced(policy, (*path, place), limit, tenant)
    names = {limit.rule_name for limit in tenant.limits}
    kept = [placed for placed in general if placed.rule.name not in names]
    yield from _crowded([*kept, *_placed(path, tenant.limits)])


def _double_names(path: Path, limits: Sequence[Limit | TenantLimit]) -> Problems:
    names = [limit.rule_name for limit in limits]
    for place, name in enumerate(names):
        first = names.index(name)
        if first != place:
            where = (*path, place, "name") if limits[place].name else (*path, place)
            yield where, f"is named {name}, as the limit at [{first}] is; give it a name of its own"


def _lifting_nothing(policy: Policy, path: Path, limits: Sequence[TenantLimit]) -> Problems:
    """Without a section `limits` those of the stack's parameters may be lifted, whichever are set."""
    general = policy.limits
    known = _OF_PARAMETERS if general is None else [limit.rule_name for limit in general]
    for place, limit in enumerate(limits):
        if limit.is_lifted and limit.rule_name not in known:
            yield (*path, place), f"lifts nothing: no limit is named {limit.rule_name} (known: {_listed(known)})"


def _unknown_names(policy: Policy, path: Path, limit: Limit | TenantLimit) -> Problems:
    match = limit.match
    apps = {f"app:{name}" for name in policy.apps or ()}
    models = [name for name in match.models if name not in apps]
    yield from _unknown((*path, "match", "models"), models, policy.models, "models")
    if policy.models is None:
        unknown = [name for name in models if name.startswith("app:")]
        yield from _unknown((*path, "match", "models"), unknown, (), "apps")
    yield from _unknown((*path, "match", "tenants"), getattr(match, "tenants", ()), policy.tenants, "tenants")


def _unknown(path: Path, names: Sequence[str], known: Collection[str] | None, section: str) -> Problems:
    unknown = [name for name in names if known is not None and name not in known]
    if unknown:
        yield path, f"not in {section}: {_listed(unknown)}"


def _unpriced(policy: Policy, path: Path, limit: Limit | TenantLimit, tenant: Tenant | None) -> Problems:
    """Refuse a budget that would have to guess."""
    if limit.unit != "usd":
        return
    if policy.models is None:
        yield (*path, "unit"), "usd needs the section models, with a price of each"
        return
    own = () if tenant is None or tenant.models is None else tenant.models
    counted = [name for name in limit.match.models or own or policy.models if name in policy.models]
    unpriced = [name for name in counted if policy.models[name].price is None]
    if unpriced:
        yield (*path, "unit"), f"usd needs a price of every model that it counts; there is none of {_listed(unpriced)}"


def _shared_problems(policy: Policy, general: list[_Placed]) -> Problems:
    """Look at the scopes whose items all tenants share: there the limits of every tenant come together."""
    own = [placed for placed in _all_rules(policy) if placed.path[0] != "limits"]
    if own:
        together = _distinct([*general, *own])
        yield from _crowded(
            [placed for placed in together if not _OF_ONE_TENANT & set(placed.rule.scope)], scopes=False
        )


def _distinct(rules: Iterable[_Placed]) -> list[_Placed]:
    """Give of those that are counted as one the one with the highest limit, which takes the most room."""
    found: dict[object, _Placed] = {}
    for placed in rules:
        same = (placed.rule.scope, *_counted(placed.rule))
        if same not in found or placed.rule.limit > found[same].rule.limit:
            found[same] = placed
    return list(found.values())


def _counted(rule: LimitRule) -> tuple[object, ...]:
    """Give what a counter is named after."""
    return (rule.name, rule.unit, rule.window)


def _crowded(rules: Sequence[_Placed], *, scopes: bool = True) -> Problems:
    """Tell what doesn't fit, of limits that are in force together."""
    by_scope: dict[tuple[str, ...], list[_Placed]] = {}
    for placed in rules:
        by_scope.setdefault(placed.rule.scope, []).append(placed)
    for number, (scope, members) in enumerate(by_scope.items(), 1):
        if scopes and number > MAX_SCOPES:
            yield (*members[0].path, "scope"), f"is scope number {number}; at most {MAX_SCOPES}, as each is a write"
        yield from _crowded_item(scope, members)


def _crowded_item(scope: tuple[str, ...], members: Sequence[_Placed]) -> Problems:
    name = "+".join(scope)
    most = MAX_RULES_PER_SCOPE - MAX_KEY_RULES if scope == ("key",) else MAX_RULES_PER_SCOPE
    if len(members) > most:
        yield members[most].path, f"is one limit too many of the scope {name}; at most {most}"
        return
    size = item_bytes(scope, (placed.rule for placed in members))
    if size > MAX_ITEM_BYTES:
        reason = f"with it the limits of the scope {name} may take {size:,} bytes of their item"
        yield members[-1].path, f"{reason}; at most {MAX_ITEM_BYTES:,}"
    seen: dict[str, LimitRule] = {}
    for placed in members:
        other = seen.setdefault(placed.rule.counter, placed.rule)
        if _counted(other) != _counted(placed.rule):
            yield placed.path, f"would by chance share a counter with {other.name}; give it another name"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "") or "none"

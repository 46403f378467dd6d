"""Whatever limits `validate` takes, the routers read, and read what the document says."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.policy.limit_rules import CALENDARS, LIMIT_SCOPES, STORE_FAILURE, UNITS, RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport_cli.policy.compiling import compile_policy
from sallyport_cli.policy.differences import policy_differences
from sallyport_cli.policy.documents import Document, PolicyFileError, read_document
from sallyport_cli.policy.limits import CAPPED_UNITS, rules_of

SCOPES = st.lists(st.sampled_from(LIMIT_SCOPES[:-1]), min_size=1, max_size=3, unique=True)
MONEY = st.one_of(st.integers(1, 10**6), st.decimals("0.000001", 10**6, places=6).map(str))
WINDOWS = st.one_of(st.integers(1, 86_400).map(lambda seconds: f"{seconds}s"), st.sampled_from(CALENDARS))
MATCHES = st.fixed_dictionaries({}, optional={"models": st.sampled_from(["a", ["a", "b"]]), "scopes": st.just("chat")})
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "match": MATCHES,
    "on_store_failure": st.sampled_from(STORE_FAILURE),
    "name": st.sampled_from(["one", "two", "three", "four", "five"]),
}


@st.composite
def limits(draw: st.DrawFn) -> dict[str, Any]:
    """A limit in itself sound, which may not go with others."""
    unit = draw(st.sampled_from(UNITS))
    amount = draw({"usd": MONEY, "concurrent": st.integers(1, 50)}.get(unit, st.integers(1, 10**15)))
    window = {} if unit == "concurrent" else {"window": draw(WINDOWS)}
    cap = {"enforce_cap": draw(st.booleans())} if unit in CAPPED_UNITS else {}
    scope = draw(st.one_of(SCOPES, st.just(["global"])))
    optional = draw(st.fixed_dictionaries({}, optional=OPTIONAL))
    return {"scope": scope, "unit": unit, "limit": amount, **window, **cap, **optional}


PRICED = {"max_output_tokens": 5, "price": {"input": 1, "output": 2}}


def taken(values: dict[str, Any]) -> Document | None:
    """Give the document, None where its limits are refused."""
    try:
        return read_document(json.dumps(values), "policy.json", local=False)
    except PolicyFileError as error:
        places = [problem.field for problem in error.problems]
    assert all(place.startswith(("limits", "tenants.acme.limits")) for place in places)
    return None


@settings(max_examples=400, deadline=None)
@given(st.lists(limits(), max_size=3), st.lists(limits(), max_size=2))
def test_what_is_taken_is_read_as_it_is_meant(general: list[Any], own: list[Any]) -> None:
    values = {
        "version": 1,
        "limits": general,
        "models": {"a": PRICED, "b": PRICED},
        "tenants": {"acme": {"limits": own}},
    }
    document = taken(values)
    if document is None:
        return
    merged = merge_router(RouterRules(0, (), {}, None), json.loads(compile_policy(document)), 1)
    assert document.policy.limits is not None
    assert document.policy.tenants is not None
    assert merged.limits == tuple(rules_of(document.policy.limits).values())
    assert merged.tenant_limits.get("acme", {}) == rules_of(document.policy.tenants["acme"].limits)
    assert policy_differences(document.policy, document.policy) == []

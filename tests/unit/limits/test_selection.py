"""Selection: which rules count a request, and as whose."""

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.limits.selection import Demand, by_scope, caller_values, ip_value, matches, member_of, rules_for
from sallyport.policy.limit_rules import LIMIT_SCOPES, LimitMatch, LimitRule, RouterRules, Window

MINUTE = Window(60)
VALUES = caller_values(
    tenant="acme", subject="user-7", key="k1abc", ip="192.0.2.7", model="gpt-4o", route="chat_completions"
)
DEMAND = Demand("chat_completions", "gpt-4o", "acme", ("chat", "models"), VALUES, {"requests": 1}, 60.0)


def rule(name: str, scope: str = "tenant", limit: int = 10, **fields: Any) -> LimitRule:
    return LimitRule(name, tuple(scope.split("+")), "requests", limit, MINUTE)._replace(**fields)


def router_rules(
    *limits: LimitRule, tenants: Mapping[str, Mapping[str, LimitRule | None]] | None = None
) -> RouterRules:
    return RouterRules(1, limits, tenants or {}, None)


def digest(text: str) -> str:
    return "~" + hashlib.sha256(text.encode()).hexdigest()[:32]


def test_rules_for_a_caller_without_own_ones_are_the_general_ones() -> None:
    rules = router_rules(rule("a"), rule("b"), tenants={"globex": {"a": None}})
    assert rules_for(rules, "acme", ()) == rules.limits


def test_rules_for_a_tenant_replace_add_and_lift_by_name() -> None:
    mine = {"a": rule("a", limit=5), "b": None, "d": rule("d")}
    rules = router_rules(rule("a"), rule("b"), rule("c"), tenants={"acme": mine})
    assert rules_for(rules, "acme", ()) == (rule("a", limit=5), rule("c"), rule("d"))
    assert rules_for(rules, "globex", ()) == rules.limits


def test_rules_for_a_key_come_last() -> None:
    rules = router_rules(rule("a"), rule("b"), tenants={"acme": {"a": rule("a", limit=5), "b": None}})
    own = (rule("a", "key", 1), rule("b", "key", 2))
    assert rules_for(rules, "acme", own) == own


def test_rules_for_a_key_are_as_strict_as_those_they_replace() -> None:
    general = rule("a")._replace(on_store_failure="deny", enforce_cap=True)
    (found,) = rules_for(router_rules(general), "acme", (rule("a", "key", 9),))
    assert found == rule("a", "key", 9)._replace(on_store_failure="deny", enforce_cap=True)


@pytest.mark.parametrize(
    ("match", "counted"),
    [
        (LimitMatch(), True),
        (LimitMatch(routes=("chat_completions",)), True),
        (LimitMatch(routes=("embeddings",)), False),
        (LimitMatch(models=("gpt-4o", "o3")), True),
        (LimitMatch(models=("gpt-4o-mini",)), False),
        (LimitMatch(tenants=("globex",)), False),
        (LimitMatch(scopes=("models", "embeddings")), True),
        (LimitMatch(scopes=("embeddings",)), False),
        (LimitMatch(routes=("chat_completions",), models=("o3",)), False),
    ],
)
def test_matches_needs_every_part_that_is_given(match: LimitMatch, counted: bool) -> None:
    assert matches(rule("a", match=match), DEMAND) is counted


@pytest.mark.parametrize(
    ("scope", "member"),
    [
        ("tenant", "tenant#acme"),
        ("tenant+model", "tenant+model#acme#gpt-4o"),
        ("key", "key#k1abc"),
        ("subject", f"subject#{digest('acme user-7')}"),
        ("ip+route", "ip+route#192.0.2.7#chat_completions"),
        ("global", "global"),
    ],
)
def test_member_names_who_is_counted(scope: str, member: str) -> None:
    assert member_of(tuple(scope.split("+")), VALUES) == member


def test_member_of_a_token_is_no_keys() -> None:
    values = caller_values(tenant="acme", subject="user-7")
    assert member_of(("key",), values) == f"key#{digest('jwt acme user-7')}"
    assert member_of(("ip",), values) == f"ip#{digest('')}"


@pytest.mark.parametrize("value", ["a b", "é", "a#b", "~", "", "x" * 65, "\ud800", "a\n"])
def test_member_has_a_digest_of_what_is_not_plain(value: str) -> None:
    member = member_of(("model",), {"model": value})
    assert member.startswith("model#~")
    assert len(member) == len("model#~") + 32


@given(st.lists(st.text(max_size=70), min_size=2, max_size=2), st.lists(st.text(max_size=70), min_size=2, max_size=2))
def test_members_differ_where_values_do(some: list[str], others: list[str]) -> None:
    scope = ("tenant", "model")
    members = [member_of(scope, dict(zip(scope, values, strict=True))) for values in (some, others)]
    assert (members[0] == members[1]) is (some == others)


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("2001:DB8::1", "2001:db8::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("test-invoke-source-ip", "test-invoke-source-ip"),
        ("fe80::1%eth0", "fe80::/64"),
        ("1:2:nonsense", "1:2:nonsense"),
        ("", ""),
    ],
)
def test_ip_value_of_an_address(address: str, value: str) -> None:
    assert ip_value(address) == value


def test_by_scope_puts_the_narrowest_first_and_rules_of_one_scope_together() -> None:
    scopes = ["global", "tenant+model", "tenant", "key", "model", "key+model", "tenant+route", "ip", "subject", "route"]
    rules = [rule(f"{scope}-{number}", scope) for number in (1, 2) for scope in scopes]
    found = by_scope(rules, DEMAND)
    assert [member.partition("#")[0] for member, _ in found] == [
        *("key+model", "key", "subject", "ip", "tenant+model", "tenant+route", "tenant", "model", "route", "global")
    ]
    assert all(len(together) == 2 for _, together in found)


def test_by_scope_leaves_out_what_does_not_match() -> None:
    assert by_scope([rule("a", match=LimitMatch(models=("o3",)))], DEMAND) == []


@given(st.permutations([rule(scope, scope) for scope in LIMIT_SCOPES]))
def test_by_scope_has_one_order_whatever_the_rules_order(rules: list[LimitRule]) -> None:
    assert [found[0].name for _, found in by_scope(rules, DEMAND)] == list(LIMIT_SCOPES)

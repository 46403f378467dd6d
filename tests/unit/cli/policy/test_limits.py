"""Which limits, models and prices a document may have, and what is said of the others."""

import json

import pytest

from sallyport.policy.limit_rules import LimitRule, RouterRules, rule_name
from sallyport.policy.router_rules import merge_router
from sallyport_cli.policy.compiling import compile_policy
from sallyport_cli.policy.limit_words import describe_rule
from tests.unit.cli.policy.documents import problems, read

PRICED = "models: {a: {max_output_tokens: 9, price: {input: 1, output: 2}}, b: {max_output_tokens: 9}}"


def rules(text: str) -> RouterRules:
    """Give what the routers make of a document."""
    return merge_router(RouterRules(0, (), {}, None), json.loads(compile_policy(read(f"version: 1\n{text}\n"))), 1)


def one(fields: str) -> str:
    """Give a document with one limit, in flow style."""
    return f"version: 1\nlimits: [{{{fields}}}]\n"


def own(fields: str, more: str = "") -> str:
    """Give a document with one limit of the tenant acme, in flow style."""
    return f"version: 1\ntenants: {{acme: {{limits: [{{{fields}}}]}}}}\n{more}\n"


def test_an_app_that_is_not_there_is_no_name_in_match() -> None:
    limit = one("scope: tenant, unit: requests, limit: 1, window: 1m, match: {models: [gpt-4o, 'app:x']}")
    assert problems(limit) == ["policy.yaml:2: limits[0].match.models: not in apps: app:x"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("scope: key, unit: requests, limit: 1", "limits[0].window: is missing"),
        ("scope: key, unit: requests, window: 1m", "limits[0].limit: is missing"),
        ("unit: requests, limit: 1, window: 1m", "limits[0].scope: is missing"),
        ("scope: key, limit: 1, window: 1m", "limits[0].unit: is missing"),
        ("scope: person, unit: requests, limit: 1, window: 1m", "'person' is no scope of a limit; known are key,"),
        ("scope: [], unit: requests, limit: 1, window: 1m", "scope: must have at least one entry"),
        ("scope: 5, unit: requests, limit: 1, window: 1m", "scope: must be a list, and is a number"),
        ("scope: [key, key], unit: requests, limit: 1, window: 1m", "scope: names a scope twice"),
        ("scope: [key, global], unit: requests, limit: 1, window: 1m", "scope: global stands alone"),
        ("scope: key, unit: words, limit: 1, window: 1m", "'words' is no unit; known are requests, tokens"),
        ("scope: key, unit: requests, limit: 0, window: 1m", "limit: must be more than 0"),
        ("scope: key, unit: requests, limit: -1, window: 1m", "limit: must be more than 0"),
        ("scope: key, unit: requests, limit: 1.5, window: 1m", "limit: must be a whole number of requests"),
        ("scope: key, unit: requests, limit: 1000000000000001, window: 1m", "must be at most 1000000000000000"),
        ("scope: key, unit: requests, limit: 1e300, window: 1m", "must be at most 1000000000000000"),
        ("scope: key, unit: requests, limit: 1e400, window: 1m", "limit: must be a number, such as 60 or 0.25"),
        ("scope: key, unit: requests, limit: true, window: 1m", "limit: must be a number, such as 60 or 0.25"),
        ("scope: key, unit: requests, limit: many, window: 1m", "limit: must be a number, such as 60 or 0.25"),
        ("scope: key, unit: requests, limit: none, window: 1m", "limit: must be a number, such as 60 or 0.25"),
        ("scope: key, unit: requests, limit: 1, window: 0s", "window: must be from 1s to 31d"),
        ("scope: key, unit: requests, limit: 1, window: 32d", "window: must be from 1s to 31d"),
        ("scope: key, unit: requests, limit: 1, window: week", "window: must be a number with s, m, h or d"),
        ("scope: key, unit: requests, limit: 1, window: 60", "window: must be text, and is a number"),
        ("scope: key, unit: concurrent, limit: 1, window: 1m", "window: doesn't go with concurrent"),
        ("scope: key, unit: concurrent, limit: 51", "limit: must be at most 50"),
        (
            "scope: key, unit: requests, limit: 1, window: 1m, enforce_cap: true",
            "enforce_cap: goes with tokens",
        ),
        ("scope: key, unit: requests, limit: 1, window: 1m, name: A b", "name: a limit's name is 1 to 64 lower-case"),
        ("scope: ip, unit: usd, limit: 1, window: 1m, name: key-usd-month", "name: is one that a key's own limit may"),
        ("scope: key, unit: requests, limit: 1, window: 1m, on_store_failure: maybe", "'maybe' is no way to go on"),
        ("scope: key, unit: requests, limit: 1, window: 1m, match: {routes: chat}", "'chat' is no route; known are"),
        ("scope: key, unit: requests, limit: 1, window: 1m, match: {scopes: [x]}", "scopes[0]: 'x' is no scope;"),
        ("scope: key, unit: requests, limit: 1, window: 1m, match: {models: []}", "models: must have at least one"),
        ("scope: key, unit: requests, limit: 1, window: 1m, match: {model: a}", "did you mean models?"),
        ("scope: key, unit: usd, limit: 0.0000000001, window: day", "limit: has more than nine decimals"),
        ("scope: key, unit: usd, limit: 1, window: day", "limits[0].unit: usd needs the section models"),
        (
            "scope: key, unit: output_tokens, limit: 1, window: 1m, match: {routes: embeddings}",
            "match.routes: embeddings alone have no output_tokens, so nothing would be limited",
        ),
        (
            "scope: key, unit: tokens, limit: 1, window: 1m, match: {routes: [embeddings]}, enforce_cap: true",
            "enforce_cap: does nothing for embeddings alone",
        ),
        (
            "scope: key, unit: tokens, limit: 1, window: 1m, match: {routes: [count_tokens, apps]}",
            "match.routes: apps and count_tokens alone have no tokens, so nothing would be limited",
        ),
        (
            "scope: key, unit: tokens, limit: 1, window: 1m, match: {routes: [embeddings, apps]}, enforce_cap: true",
            "enforce_cap: does nothing for apps and embeddings alone",
        ),
    ],
)
def test_a_mistake_in_a_limit_is_told(fields: str, told: str) -> None:
    [problem] = problems(one(fields))
    assert problem.startswith("policy.yaml:2: limits[0].")
    assert told in problem


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("limit: 5", "scope: is missing"),
        ("limit: none", "name: is missing: which limit is lifted?"),
        ("limit: none, name: x, enforce_cap: true", "enforce_cap: says nothing of a limit that is lifted"),
        ("scope: key, unit: requests, limit: 1", "window: is missing"),
        ("scope: key, unit: requests, limit: none", "window: is missing: it is a part of the name"),
        ("scope: key, unit: requests, limit: 1, window: 1m, match: {tenants: [a]}", "match.tenants: is no key of a"),
        ("scope: key, unit: usd, limit: 1, window: day", "usd needs the section models"),
    ],
)
def test_a_mistake_in_a_tenant_s_limit_is_told(fields: str, told: str) -> None:
    found = problems(own(fields))
    assert found[0].startswith("policy.yaml:2: tenants.acme.limits[0].")
    assert told in found[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models: {a: {max_output_tokens: 0}}", "models.a.max_output_tokens: must be at least 1"),
        ("models: {a: {price: {input: 1}}}", "models.a.price.output: is missing"),
        ("models: {a: {price: {input: 1, output: 0.0000001}}}", "output: has more than six decimals"),
        ("models: {a: {price: {input: -1, output: 0}}}", "input: is US dollars per million tokens, from 0 to"),
        ("models: {a: {price: {input: x, output: 0}}}", "input: must be a number, such as"),
        ("models: {a: {price: 5}}", "models.a.price: must be a mapping, and is a number"),
        ("models: {'a b': {}}", "a model's name is letters"),
        ("models: {}", "models: must have at least one entry"),
    ],
)
def test_a_mistake_in_a_model_is_told(text: str, told: str) -> None:
    [problem] = problems(f"version: 1\n{text}")
    assert told in problem


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ("scope: key, unit: usd, limit: 1, window: day", "limits[0].unit: usd needs a price of every model that it "
         "counts; there is none of b"),
        ("scope: key, unit: usd, limit: 1, window: day, match: {models: b}", "there is none of b"),
        ("scope: key, unit: tokens, limit: 1, window: day, match: {models: c}", "match.models: not in models: c"),
        ("scope: key, unit: tokens, limit: 1, window: day, match: {tenants: x}", "match.tenants: not in tenants: x"),
    ],
)  # fmt: skip
def test_a_limit_counts_only_what_there_is(limits: str, told: str) -> None:
    [problem] = problems(f"version: 1\nlimits: [{{{limits}}}]\n{PRICED}\ntenants: {{acme: {{}}}}\n")
    assert told in problem


def test_a_budget_needs_prices_of_what_it_counts_alone() -> None:
    budget = "scope: tenant, unit: usd, limit: 1, window: day"
    assert rules(f"limits: [{{{budget}, match: {{models: a}}}}]\n{PRICED}").limits
    assert rules(f"tenants: {{acme: {{models: [a], limits: [{{{budget}}}]}}}}\n{PRICED}").tenant_limits
    [problem] = problems(own(budget, PRICED))
    assert "tenants.acme.limits[0].unit: usd needs a price of every model" in problem


def test_amounts_are_decimal() -> None:
    budget = "scope: tenant, unit: usd, window: day, match: {models: a}"
    for text, nanodollars in (("0.1", 10**8), ('"0.000000001"', 1), ("1e3", 10**12), ("0.30000000000000004", None)):
        if nanodollars is None:
            [problem] = problems(f"{one(f'{budget}, limit: {text}')}{PRICED}")
            assert "has more than nine decimals" in problem
        else:
            assert rules(f"limits: [{{{budget}, limit: {text}}}]\n{PRICED}").limits[0].limit == nanodollars


def test_two_limits_of_one_name_are_refused() -> None:
    [problem] = problems(
        "version: 1\nlimits:\n  - {scope: key, unit: requests, limit: 1, window: 1m}\n"
        "  - {scope: key, unit: requests, limit: 2, window: 60s, match: {routes: embeddings}}\n"
    )
    assert problem.startswith("policy.yaml:4: limits[1]: is named key-requests-1m, as the limit at [0] is")


def test_lifting_what_isn_t_there_is_a_slip() -> None:
    [problem] = problems(own("name: key-requests-2m, limit: none", "limits: []"))
    assert "lifts nothing: no limit is named key-requests-2m (known: none)" in problem
    [problem] = problems(own("name: key-request-1m, limit: none"))
    assert "lifts nothing: no limit is named key-request-1m (known: key-requests-1m, key-tokens-1m," in problem
    lifted = rules("tenants: {acme: {limits: [{scope: key, unit: requests, window: 60s, limit: none}]}}")
    assert lifted.tenant_limits == {"acme": {"key-requests-1m": None}}, "a limit of the stack's parameters"


def test_a_tenant_s_limit_on_a_model_that_it_may_not_use_counts_nothing() -> None:
    [problem] = problems(
        "version: 1\nmodels: {a: {}, b: {}}\ntenants:\n  acme:\n    models: [a]\n    limits:\n"
        "      - {scope: key, unit: requests, limit: 1, window: 1m, name: x, match: {models: [a, b]}}\n"
    )
    assert problem == "policy.yaml:7: tenants.acme.limits[0].match.models: not in its own models: b"


def many(number: int, scope: str, first: int = 1) -> str:
    """Give so many limits of a scope, in flow style."""
    windows = range(first, first + number)
    return ", ".join(f"{{scope: {scope}, unit: requests, limit: 1, window: {window}s}}" for window in windows)


@pytest.mark.parametrize(("scope", "most"), [("tenant", 20), ("tenant+model", 20), ("key", 10), ("global", 20)])
def test_a_scope_has_so_many_limits(scope: str, most: int) -> None:
    assert len(rules(f"limits: [{many(most, scope)}]").limits) == most
    [problem] = problems(f"version: 1\nlimits: [{many(most + 1, scope)}]")
    assert f"limits[{most}]: is one limit too many of the scope {scope}; at most {most}" in problem


def test_a_tenant_s_limits_come_on_top_and_count_for_it_alone() -> None:
    general = f"version: 1\nlimits: [{many(15, 'tenant')}]\n"
    fits = f"tenants: {{a: {{limits: [{many(5, 'tenant', 90)}]}}, b: {{limits: [{many(5, 'tenant', 95)}]}}}}"
    read(general + fits)
    read(f"{general}tenants: {{a: {{limits: [{many(20, 'tenant')}]}}}}")  # fifteen are replaced
    [problem] = problems(f"{general}tenants: {{a: {{limits: [{many(6, 'tenant', 90)}]}}}}")
    assert "tenants.a.limits[5]: is one limit too many of the scope tenant" in problem


def test_where_tenants_share_an_item_all_of_their_limits_count() -> None:
    same = ", ".join(f"t{number}: {{limits: [{many(1, 'model')}]}}" for number in range(30))
    read(f"version: 1\ntenants: {{{same}}}")
    own_each = ", ".join(f"t{number}: {{limits: [{many(1, 'model', 1 + number)}]}}" for number in range(21))
    [problem] = problems(f"version: 1\ntenants: {{{own_each}}}")
    assert "tenants.t20.limits[0]: is one limit too many of the scope model; at most 20" in problem


def test_an_item_stays_under_one_kilobyte() -> None:
    at_once = "{scope: tenant, unit: concurrent, limit: 50}, {name: x, scope: tenant, unit: concurrent, limit: 50}"
    [problem] = problems(f"version: 1\nlimits: [{at_once}]")
    assert "limits[1]: with it the limits of the scope tenant may take 1," in problem
    assert "bytes of their item; at most 1,024" in problem


def test_a_request_is_counted_in_so_many_scopes() -> None:
    scopes = ["key", "subject", "ip", "tenant", "model", "route", "global", "key+model", "ip+model", "tenant+model"]
    limits = ", ".join(many(1, scope) for scope in scopes)
    read(f"version: 1\nlimits: [{limits}]")
    [problem] = problems(f"version: 1\nlimits: [{limits}, {many(1, 'tenant+route')}]")
    assert "limits[10].scope: is scope number 11; at most 10" in problem


def test_two_limits_that_would_share_a_counter_are_told() -> None:
    names = colliding()
    limits = ", ".join(f"{{name: {name}, scope: tenant, unit: requests, limit: 1, window: 1m}}" for name in names)
    [problem] = problems(f"version: 1\nlimits: [{limits}]")
    assert f"limits[1]: would by chance share a counter with {names[0]}; give it another name" in problem


def colliding() -> list[str]:
    """Find two names whose counters have the same five digits."""
    [rule] = rules("limits: [{scope: tenant, unit: requests, limit: 1, window: 1m}]").limits
    seen: dict[str, str] = {}
    for number in range(100_000):
        counter = rule._replace(name=f"n{number}").counter
        if counter in seen:
            return [seen[counter], f"n{number}"]
        seen[counter] = f"n{number}"
    raise AssertionError("no collision")


def test_a_model_without_a_longest_answer_is_told_under_a_limit_of_tokens() -> None:
    text = "version: 1\nlimits: [{scope: key, unit: tokens, limit: 1, window: 1m}]\nmodels:\n  a: {}\n"
    [warning] = read(text).warnings
    assert warning == (
        "policy.yaml:4: models.a: warning: without max_output_tokens the stack's MaxOutputTokens is reserved: a"
    )
    assert read(text.replace("unit: tokens", "unit: requests")).warnings == ()
    assert read(text.replace("a: {}", "a: {price: {input: 1, output: 0}}")).warnings == (), "it makes embeddings"


def test_a_limit_on_some_requests_that_a_key_s_own_would_end_is_told() -> None:
    text = "version: 1\nlimits:\n  - {scope: key, unit: requests, limit: 5, window: 1m, match: {scopes: chat}}\n"
    [warning] = read(text).warnings
    assert warning.startswith("policy.yaml:3: limits[0]: warning: a key's own limit of this unit and window stands in")
    assert read(text.replace("limit: 5", "limit: 5, name: chats")).warnings == ()
    assert read(text.replace(", match: {scopes: chat}", "")).warnings == ()


def test_a_tenant_s_model_that_is_not_on_offer_is_told() -> None:
    [warning] = read("version: 1\nmodels: {a: {}}\ntenants:\n  acme: {models: [a, gpt]}\n").warnings
    assert warning == "policy.yaml:4: tenants.acme.models: warning: not in models, so nobody is offered it: gpt"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("scope: global, unit: input_tokens, limit: 5, window: 90s", "5 input tokens in 90s for all together"),
        ("scope: key+ip, unit: concurrent, limit: 5", "5 requests at a time for each key and ip"),
        (
            "scope: tenant, unit: usd, limit: 12.34, window: month, on_store_failure: allow, match: {models: a}",
            "$12.34 in a month for each tenant, of the models a, allowing while it can't be counted",
        ),
        (
            "scope: ip, unit: tokens, limit: 9, window: 1h, on_store_failure: deny, enforce_cap: true",
            "9 tokens in 1h for each ip, refusing while it can't be counted, enforced upstream",
        ),
    ],
)
def test_a_limit_in_words(fields: str, words: str) -> None:
    [rule] = rules(f"limits: [{{{fields}}}]\n{PRICED}").limits
    assert describe_rule(rule) == words


def test_a_limit_is_named_after_what_it_counts() -> None:
    [rule] = rules("limits: [{scope: [model, tenant], unit: tokens, limit: 1, window: 60s}]").limits
    assert isinstance(rule, LimitRule)
    assert rule.name == rule_name(rule.scope, rule.unit, rule.window) == "tenant+model-tokens-1m"


def test_an_app_is_a_model_of_its_own() -> None:
    text = """\
upstreams:
  up: {provider: bedrock, region: eu-west-1}
  mine: {provider: app, base_url: "https://a.internal", region: eu-west-1, secret: mine}
models: {amazon.a: {targets: [{upstream: up}]}}
apps: {a: {upstream: mine}}
limits: [{scope: key, unit: requests, limit: 1, window: 1m, match: {routes: apps, models: [NAMES]}}]
"""
    assert rules(text.replace("NAMES", "amazon.a, 'app:a'")).limits[0].match.models == ("amazon.a", "app:a")
    [problem] = problems(f"version: 1\n{text.replace('NAMES', 'app:b')}")
    assert "limits[0].match.models: not in models: app:b" in problem

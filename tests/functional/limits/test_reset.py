"""`sallyport limits reset` as an operator uses it."""

import pytest

from sallyport.limits.selection import caller_values, member_of
from sallyport.policy.limit_rules import NO_WINDOW, LimitRule, Window, rule_name
from sallyport_cli.key_items import KeyGrant, create_key
from tests.functional.limits.conftest import Counting, Run
from tests.support.aws import CONFIG_TABLE, Emulator

POLICY = """\
version: 1
models:
  gpt-4o: {}
  gpt-4o-mini: {}
limits:
  - {scope: key, unit: requests, limit: 60, window: 1m}
  - {scope: key, unit: concurrent, limit: 4}
  - {scope: [key, tenant], unit: requests, limit: 60, window: 1m}
  - {scope: tenant, unit: tokens, limit: 1000, window: 1h}
  - {scope: tenant, unit: requests, limit: 10, window: 1h}
  - {scope: [tenant, model], unit: requests, limit: 100, window: 1h}
  - {scope: model, unit: requests, limit: 100, window: 1h}
  - {scope: ip, unit: requests, limit: 100, window: 1h}
  - {scope: route, unit: requests, limit: 100, window: 1h, match: {routes: embeddings}}
  - {scope: global, unit: requests, limit: 100, window: 1h}
"""
HOUR = Window(3600)


def rule(unit: str, limit: int, window: Window, *scope: str) -> LimitRule:
    return LimitRule(rule_name(scope, unit, window), scope, unit, limit, window)


TOKENS = rule("tokens", 1000, HOUR, "tenant")
REQUESTS = rule("requests", 10, HOUR, "tenant")


@pytest.fixture(autouse=True)
def policy(run: Run) -> None:
    assert run("policy", "apply", "policy.yaml", text=POLICY).exit_code == 0


def test_reset_of_a_tenant_leaves_its_keys_alone(run: Run, counting: Counting) -> None:
    by_model = rule("requests", 100, HOUR, "tenant", "model")
    for member, rules in (
        ("tenant#acme", [TOKENS, REQUESTS]),
        ("tenant+model#acme#gpt-4o", [by_model]),
        ("tenant#other", [REQUESTS]),
        ("key#k1", [rule("requests", 60, Window(60), "key")]),
        ("key+tenant#k1#acme", [rule("requests", 60, Window(60), "key", "tenant")]),
        ("model#gpt-4o", [rule("requests", 100, HOUR, "model")]),
    ):
        counting.charge(member, rules, {"tokens": 900, "requests": 1})
    result = run("limits", "reset", "--tenant", "acme", "--yes")
    assert result.stdout.splitlines() == [
        "tenant acme: reset tenant-tokens-1h, tenant-requests-1h",
        "tenant acme, model gpt-4o: reset tenant+model-requests-1h",
        "tenant acme, model gpt-4o-mini: nothing was counted",
    ]
    assert counting.pks() == {"limit#tenant#other", "limit#key#k1", "limit#key+tenant#k1#acme", "limit#model#gpt-4o"}
    assert counting.charge("tenant#acme", [TOKENS], {"tokens": 1000}).states[0].remaining == 0


def test_reset_of_one_rule_leaves_the_others(run: Run, counting: Counting) -> None:
    counting.charge("tenant#acme", [TOKENS, REQUESTS], {"tokens": 900, "requests": 3})
    result = run("limits", "reset", "--tenant", "acme", "--rule", TOKENS.name, "--yes")
    assert result.stdout == "tenant acme: reset tenant-tokens-1h\n"
    left = counting.item("tenant#acme")
    assert left[f"c{REQUESTS.counter}"] == 3
    assert not {name for name in left if TOKENS.counter in name}
    again = run("limits", "reset", "--tenant", "other", "--rule", TOKENS.name, "--yes")
    assert again.stdout == "tenant other: nothing was counted\n"
    assert counting.pks() == {"limit#tenant#acme"}


def test_settling_after_a_reset_changes_nothing(run: Run, counting: Counting) -> None:
    limiter = counting.limiter()
    (receipt,) = limiter.admit("tenant#acme", [TOKENS], {"tokens": 900}).receipts
    run("limits", "reset", "--tenant", "acme", "--yes")
    limiter.settle(receipt, {"tokens": -800})
    assert counting.charge("tenant#acme", [TOKENS], {"tokens": 1000}).admitted


def test_reset_of_a_key_gives_its_places_back(run: Run, counting: Counting, emulator: Emulator) -> None:
    key = create_key(emulator.dynamodb, CONFIG_TABLE, KeyGrant(tenant="acme", name="app"))
    places = rule("concurrent", 1, NO_WINDOW, "key")
    counting.charge(f"key#{key.key_id}", [places], {})
    result = run("limits", "reset", "--key", key.key_id, "--rule", "key-concurrent", "--yes")
    assert result.stdout == f"key {key.key_id} (app): reset key-concurrent\n"
    assert counting.charge(f"key#{key.key_id}", [places], {}).admitted


@pytest.mark.parametrize(
    ("named", "member"),
    [
        (("--tenant", "acme", "--subject", "ann"), member_of(("key",), caller_values(tenant="acme", subject="ann"))),
        (("--ip", "192.0.2.9"), "ip#192.0.2.9"),
        (("--model", "gpt-4o"), "model#gpt-4o"),
        (("--global",), "global"),
        (("--global",), "route#embeddings"),
    ],
)
def test_reset_of_others(run: Run, counting: Counting, named: tuple[str, ...], member: str) -> None:
    part = member.partition("#")[0]
    window = Window(60) if part == "key" else HOUR
    counting.charge(member, [rule("requests", 60, window, part)], {"requests": 1})
    result = run("limits", "reset", *named, "--yes")
    assert f": reset {part}-requests-{window.text}" in result.stdout
    assert counting.pks() == set()


SHARED = """\
version: 1
models: {gpt-4o: {}}
limits:
  - {scope: tenant, unit: requests, limit: 10, window: 1h}
  - {scope: global, unit: requests, limit: 100, window: 1h, match: {tenants: acme}}
tenants:
  acme:
    limits:
      - {scope: model, unit: requests, limit: 100, window: 1h}
      - {scope: ip, unit: requests, limit: 100, window: 1h}
"""


@pytest.mark.parametrize(
    ("named", "member"),
    [(("--global",), "global"), (("--model", "gpt-4o"), "model#gpt-4o"), (("--ip", "192.0.2.9"), "ip#192.0.2.9")],
)
@pytest.mark.parametrize("by_rule", [False, True])
def test_what_only_one_tenant_s_limits_count_for_all_is_reset_too(
    run: Run, counting: Counting, named: tuple[str, ...], member: str, *, by_rule: bool
) -> None:
    assert run("policy", "apply", "policy.yaml", text=SHARED).exit_code == 0
    counted = rule("requests", 100, HOUR, member.partition("#")[0])
    counting.charge(member, [counted], {"requests": 1})
    more = ("--rule", counted.name) if by_rule else ()
    assert f": reset {counted.name}\n" in run("limits", "reset", *named, *more, "--yes").stdout
    assert not [name for name in counting.item(member) if counted.counter in name]


def test_global_goes_alone_so_that_nobody_s_budget_is_forgotten_for_it(run: Run, counting: Counting) -> None:
    counting.charge("tenant#acme", [TOKENS], {"tokens": 900})
    refused = run("limits", "reset", "--global", "--tenant", "acme", "--yes")
    assert refused.exit_code == 2
    assert "--global goes alone" in refused.stderr
    assert counting.pks() == {"limit#tenant#acme"}


def test_a_model_beside_a_tenant_narrows_the_reset(run: Run, counting: Counting) -> None:
    by_model = rule("requests", 100, HOUR, "tenant", "model")
    counting.charge("tenant#acme", [TOKENS], {"tokens": 900})
    counting.charge("tenant+model#acme#gpt-4o", [by_model], {"requests": 1})
    result = run("limits", "reset", "--tenant", "acme", "--model", "gpt-4o", "--yes")
    assert result.stdout == "tenant acme, model gpt-4o: reset tenant+model-requests-1h\n"
    assert counting.pks() == {"limit#tenant#acme"}


def test_reset_asks_first(run: Run, counting: Counting) -> None:
    counting.charge("tenant#acme", [TOKENS], {"tokens": 900})
    refused = run("limits", "reset", "--tenant", "acme", stdin="n\n")
    assert refused.exit_code == 1
    assert "tenant acme: tenant-tokens-1h, tenant-requests-1h" in refused.stderr
    assert run("limits", "reset", "--tenant", "acme").exit_code == 1
    assert counting.pks() == {"limit#tenant#acme"}
    assert run("limits", "reset", "--tenant", "acme", stdin="y\n").exit_code == 0


def test_reset_refuses_what_no_rule_counts(run: Run) -> None:
    assert (
        "no rule nonsense in force counts by what was named"
        in run("limits", "reset", "--tenant", "acme", "--rule", "nonsense", "--yes").stderr
    )
    assert run("limits", "reset", "--yes").exit_code == 2
    assert run("limits", "reset", "--subject", "ann", "--yes").exit_code == 2

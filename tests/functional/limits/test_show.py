"""`sallyport limits show` as an operator uses it."""

import json
from collections.abc import Callable
from typing import Any

from sallyport.limits.selection import caller_values, member_of
from sallyport.policy.limit_rules import NO_WINDOW, LimitRule, Window, rule_name
from sallyport_cli.key_items import KeyGrant, create_key
from tests.functional.limits.conftest import Counting, Run
from tests.support.aws import CONFIG_TABLE, Emulator

type Shown = Callable[..., list[dict[str, Any]]]

POLICY = """\
version: 1
models:
  gpt-4o: {price: {input: 2.5, output: 10}, max_output_tokens: 16384}
  gpt-4o-mini: {price: {input: 0.15, output: 0.6}, max_output_tokens: 16384}
limits:
  - {scope: key, unit: requests, limit: 60, window: 1m}
  - {scope: tenant, unit: tokens, limit: 200000, window: 1h}
  - {scope: [tenant, model], unit: requests, limit: 100, window: 1h, match: {models: [gpt-4o]}}
  - {scope: tenant, unit: usd, limit: 500, window: month}
  - {scope: ip, unit: requests, limit: 120, window: 1h}
  - {scope: global, unit: requests, limit: 10000, window: 1h}
tenants:
  acme:
    limits:
      - {scope: tenant, unit: tokens, limit: 1000, window: 1h}
"""


def rule(part: str, unit: str, limit: int, window: Window) -> LimitRule:
    return LimitRule(rule_name((part,), unit, window), (part,), unit, limit, window)


TOKENS = rule("tenant", "tokens", 1000, Window(3600))
USD = rule("tenant", "usd", 500 * 10**9, Window(calendar="month"))


def test_show_tells_what_is_used_of_each_limit_in_force(run: Run, shown: Shown, counting: Counting) -> None:
    assert run("policy", "apply", "policy.yaml", text=POLICY).exit_code == 0
    counting.charge("tenant#acme", [TOKENS, USD], {"tokens": 400, "usd": 12_345_678_901})
    rows = {row["rule"]: row for row in shown("--tenant", "acme")}
    assert set(rows) == {"tenant-tokens-1h", "tenant+model-requests-1h", "tenant-usd-month", "global-requests-1h"}
    tokens = rows["tenant-tokens-1h"]
    assert (tokens["limit"], tokens["used"], tokens["remaining"]) == (1000, 400, 600)
    assert (tokens["of"], tokens["member"], tokens["scope"]) == ({"tenant": "acme"}, "tenant#acme", ["tenant"])
    assert 3600 < tokens["resets_in_s"] <= 7200
    assert rows["tenant-usd-month"]["used"] == "12.345678901"
    assert rows["tenant-usd-month"]["remaining"] == "487.654321099"
    assert rows["tenant+model-requests-1h"]["of"] == {"tenant": "acme", "model": "gpt-4o"}
    other = {row["rule"]: row["limit"] for row in shown("--tenant", "other")}
    assert other["tenant-tokens-1h"] == 200_000


def test_show_names_what_it_can_t_show(run: Run) -> None:
    run("policy", "apply", "policy.yaml", text=POLICY)
    result = run("limits", "show", "--tenant", "acme")
    assert result.stderr.splitlines() == [
        "key-requests-1m isn't shown: it counts by key; name one with --key or --subject",
        "ip-requests-1h isn't shown: it counts by ip; name one with --ip",
        "stack parameters weren't looked at; where the policy has no limits, their defaults are shown: "
        "give --stack, or --parameter",
    ]
    rows = json.loads(run("limits", "show", "--tenant", "acme", "--output", "json").stdout)
    assert rows["not_shown"] == {"key-requests-1m": "key", "ip-requests-1h": "ip"}


def test_show_draws_plain_bars_where_there_is_no_terminal(run: Run, counting: Counting) -> None:
    run("policy", "apply", "policy.yaml", text=POLICY)
    counting.charge("tenant#acme", [TOKENS], {"tokens": 400})
    lines = run("limits", "show", "--tenant", "acme").stdout.splitlines()
    assert lines[0].split() == ["COUNTED", "RULE", "USE", "USED", "LIMIT", "LEFT", "FREE", "IN"]
    line = next(line for line in lines if "tenant-tokens-1h" in line)
    assert " ".join(line.split()).startswith(
        "tenant acme tenant-tokens-1h [########............] 40% 400 1,000 tokens/1h 600 1h "
    )
    assert lines[1].startswith("everyone ")


def test_show_lists_every_key_in_use_once_for_those_rotated(run: Run, shown: Shown, emulator: Emulator) -> None:
    first = create_key(emulator.dynamodb, CONFIG_TABLE, KeyGrant(tenant="acme", name="app"))
    create_key(emulator.dynamodb, CONFIG_TABLE, KeyGrant(tenant="other", name="app"))
    ended = create_key(emulator.dynamodb, CONFIG_TABLE, KeyGrant(tenant="acme", name="ended"))
    run("keys", "revoke", ended.key_id)
    run("keys", "rotate", first.key_id)
    (row,) = shown("--tenant", "acme")
    assert (row["rule"], row["limit"], row["member"]) == ("key-requests-1m", 60, f"key#{first.key_id}")


def test_show_of_a_key_has_the_key_s_own_limits(run: Run, shown: Shown, emulator: Emulator) -> None:
    grant = KeyGrant(tenant="acme", name="app", requests_per_minute=7)
    key = create_key(emulator.dynamodb, CONFIG_TABLE, grant)
    (row,) = shown("--key", key.key_id)
    assert (row["rule"], row["limit"]) == ("key-requests-1m", 7)
    refused = run("limits", "show", "--key", key.key_id, "--tenant", "other")
    assert f"key {key.key_id} is of the tenant acme, not of other" in refused.stderr
    assert "no such key" in run("limits", "show", "--key", "0000000000000000").stderr


def test_show_counts_leases_that_haven_t_expired(shown: Shown, counting: Counting) -> None:
    values = caller_values(tenant="acme", subject="ann")
    places = LimitRule("key-concurrent", ("key",), "concurrent", 4, NO_WINDOW)
    member = member_of(("key",), values)
    counting.limiter().admit(member, [places], {}, lease_s=900)
    counting.limiter().admit(member, [places], {}, lease_s=600)
    asked = ("--tenant", "acme", "--subject", "ann", "--parameter", "ConcurrentRequests=4")
    row = next(row for row in shown(*asked) if row["unit"] == "concurrent")
    assert (row["used"], row["remaining"], row["window"]) == (2, 2, None)
    assert 880 < row["resets_in_s"] < 910


def test_show_takes_an_address_and_parameters(run: Run, shown: Shown, counting: Counting) -> None:
    per_ip = rule("ip", "requests", 5, Window(60))
    counting.charge(member_of(("ip",), {"ip": "2001:db8:0:1::/64"}), [per_ip], {"requests": 1})
    asked = ("--tenant", "acme", "--ip", "2001:db8:0:1::9", "--parameter", "IpRequestsPerMinute=5")
    (row,) = shown(*asked)
    assert (row["of"], row["limit"]) == ({"ip": "2001:db8:0:1::/64"}, 5)
    for broken in ("IpRequestsPerMinute=x", "IpRequestsPerMinute", "Nonsense=1"):
        assert run("limits", "show", "--tenant", "acme", "--parameter", broken).exit_code == 2


def test_show_needs_someone(run: Run) -> None:
    assert run("limits", "show").exit_code == 2
    assert run("limits", "show", "--key", "0000000000000000", "--tenant", "acme", "--subject", "ann").exit_code == 2
    assert run("limits", "show", "--tenant", "acme", "--ip", "256.1.1.1").exit_code == 2
    assert run("limits", "show", "--tenant", "acme", "--table", "Other").exit_code == 2


def test_that_nothing_is_limited_is_said(run: Run) -> None:
    assert run("policy", "apply", "policy.yaml", text="version: 1\nlimits: []\n").exit_code == 0
    assert "no limit is in force here" in run("limits", "show", "--tenant", "acme").stderr

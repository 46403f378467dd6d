"""What another document changes."""

import pytest

from sallyport_cli.policy.differences import ip_differences, policy_differences
from sallyport_cli.policy.ip_rules import IpEntry, IpRules
from tests.unit.cli.policy.documents import EVERY_KEY, read

ISSUERS = """\
version: 1
identity:
  issuers:
    - {issuer: https://a.example, audiences: [ai], algorithms: [RS256], tenant: a}
    - {issuer: https://b.example, audiences: [ai], algorithms: [RS256], tenant: b}
"""

A = "{name: a, model: m, parameters: {top_p: 0.5}, weight: 1}"
B = "{name: b, model: m, parameters: {stop: [a, 1]}, weight: 1}"


def changes(old: str, new: str) -> list[str]:
    return policy_differences(read(old).policy, read(new).policy)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("access: {}", "access: {deny: [203.0.113.0/24]}", ["+ access.deny: 203.0.113.0/24"]),
        ("access: {deny: [203.0.113.9]}", "access: {deny: [203.0.113.9/32]}", []),
        ("access: {deny: ['::ffff:203.0.113.9']}", "access: {deny: [203.0.113.9]}", []),
        ("access: {deny: [192.0.2.1, 192.0.2.2]}", "access: {deny: [192.0.2.2, 192.0.2.1]}", []),
        ("access: {}", "", ["- access"]),
        ("", "access: {}", ["+ access"]),
        ("tenants: {acme: {}, globex: {}}", "tenants: {globex: {}}", ["- tenants.acme"]),
        ("access: {deny: [192.0.2.0/24]}", "", ["- access", "- access.deny: 192.0.2.0/24"]),
        (
            "identity: {issuers: [{issuer: https://i, audiences: [a], algorithms: [RS256], claims: {scopes: scope}}]}",
            "identity: {issuers: [{issuer: https://i, audiences: [a], algorithms: [RS256]}]}",
            ["- identity.issuers[0].claims.scopes: scope"],
        ),
        (
            "tenants: {a: {suspended: true, models: [m]}}",
            "tenants: {}",
            ["- tenants.a", "- tenants.a.models: m", "- tenants.a.suspended: true"],
        ),
        ("tenants: {}", "tenants: {a: {models: []}}", ["+ tenants.a", "+ tenants.a.models: []"]),
        ("tenants: {a: {models: []}}", "tenants: {a: {}}", ["- tenants.a.models: []"]),
        ("tenants: {a: {}}", "tenants: {a: {suspended: true}}", ["~ tenants.a.suspended: false -> true"]),
        ("limits: []", "", ["- limits: []"]),
        (
            "limits: [{scope: key, unit: concurrent, limit: 4}]",
            "limits: []",
            ["- limits.key-concurrent: 4 requests at a time for each key"],
        ),
        (
            "tenants: {a: {limits: [{name: key-tokens-1m, limit: none}]}}",
            "tenants: {}",
            ["- tenants.a", "- tenants.a.limits.key-tokens-1m: lifted"],
        ),
        (
            f"canaries: [{A}, {B}]",
            f"canaries: [{B.replace('1}', '0.5, guard: off}')}, {A}]",
            [
                "~ canaries.b.weight: 1 -> 0.5",
                "- canaries.b.guard",
                "+ canaries.b.guard: off",
                "~ canaries: a, b -> b, a",
            ],
        ),
        (
            "",
            f"canaries: [{B.replace('1}', '5, guard: off, match: {claims: {plan: beta}}}')}]",
            [
                "+ canaries",
                "+ canaries.b",
                "+ canaries.b.name: b",
                "+ canaries.b.model: m",
                "+ canaries.b.parameters",
                '+ canaries.b.parameters.stop: ["a", 1]',
                "+ canaries.b.weight: 5",
                "+ canaries.b.match",
                "+ canaries.b.match.claims",
                "+ canaries.b.match.claims.plan: beta",
                "+ canaries.b.guard: off",
            ],
        ),
        (
            f"canaries: [{A}]",
            "canaries: []",
            [
                "- canaries.a",
                "- canaries.a.name: a",
                "- canaries.a.model: m",
                "- canaries.a.parameters",
                "- canaries.a.parameters.top_p: 0.5",
                "- canaries.a.weight: 1",
            ],
        ),
        (
            f"canaries: [{A.replace('1}', '1, guard: off}')}]",
            f"canaries: [{A.replace('1}', '1, guard: {min_requests: 5}}')}]",
            ["- canaries.a.guard: off", "+ canaries.a.guard", "+ canaries.a.guard.min_requests: 5"],
        ),
        (
            f"canaries: [{A}]",
            f"canaries: [{A.replace('weight: 1', 'steps: [{weight: 1, hold: 1h}, {weight: 2.50}]')}]",
            [
                "- canaries.a.weight: 1",
                "+ canaries.a.steps[0]",
                "+ canaries.a.steps[0].weight: 1",
                "+ canaries.a.steps[0].hold: 1h",
                "+ canaries.a.steps[1]",
                "+ canaries.a.steps[1].weight: 2.5",
            ],
        ),
        (
            f"canaries: [{A.replace('1}', '1, match: {tenants: [a, b]}}')}]",
            f"canaries: [{A.replace('1}', '1, match: {tenants: [b, c], headers: {x-beta: z}}}')}]",
            [
                "- canaries.a.match.tenants: a",
                "+ canaries.a.match.tenants: c",
                "+ canaries.a.match.headers.x-beta: z",
            ],
        ),
        ("access: {origin_secret: a}", "access: {origin_secret: b}", ["~ access.origin_secret: a -> b"]),
    ],
)
def test_a_change_is_told_by_its_path(old: str, new: str, told: list[str]) -> None:
    assert changes(f"version: 1\n{old}", f"version: 1\n{new}") == told


LIMITS = """\
version: 1
limits:
  - {scope: key, unit: requests, limit: 60, window: 1m}
  - {scope: ip, unit: usd, limit: 1, window: day}
models: {m: {price: {input: 1, output: 2}}}
"""
OTHER_LIMITS = """\
version: 1
limits:
  - {scope: [ip], unit: usd, limit: 1.0, window: day}
  - {scope: key, unit: requests, limit: 9, window: 60s}
models: {m: {price: {input: "1.00", output: 2.5}}}
"""


def test_limits_are_the_same_by_their_name() -> None:
    assert changes(LIMITS, OTHER_LIMITS) == [
        "~ limits.key-requests-1m: 60 requests in 1m for each key -> 9 requests in 1m for each key",
        "~ models.m.price.output: 2 -> 2.5",
    ]


def test_issuers_are_the_same_by_their_name() -> None:
    swapped = "\n".join([*ISSUERS.splitlines()[:3], *reversed(ISSUERS.splitlines()[3:])])
    assert changes(ISSUERS, swapped) == []
    assert changes(ISSUERS, swapped.replace("tenant: b", "tenant: b, leeway_s: 60")) == [
        "~ identity.issuers[0].leeway_s: 30 -> 60"
    ]
    assert changes(ISSUERS, "\n".join(ISSUERS.splitlines()[:4])) == ["- identity.issuers[1]: https://b.example"]


def test_against_nothing_all_that_is_said_is_new() -> None:
    told = policy_differences(None, read(EVERY_KEY).policy)
    assert "+ identity.issuers[0].issuer: https://login.example.com/" in told
    assert "+ access.countries.deny: KP" in told
    assert all(line.startswith("+ ") for line in told)
    assert policy_differences(read(EVERY_KEY).policy, read(EVERY_KEY).policy) == []


def test_entries_of_the_ip_command() -> None:
    old, new = IpRules(deny=(IpEntry("192.0.2.1"),)), IpRules(allow=(IpEntry("192.0.2.2"),))
    assert ip_differences(old, new) == ["+ ip.allow: 192.0.2.2", "- ip.deny: 192.0.2.1"]


TARGETS = """\
version: 1
upstreams:
  one: {{provider: openai, base_url: "https://api.openai.com/v1", region: {region}, secret: one}}
  two: {{provider: bedrock, region: eu-west-1}}
models:
  m: {{targets: [{targets}]}}
"""


def test_the_order_of_targets_means_something() -> None:
    one, two = "{upstream: one}", "{upstream: two, model: amazon.a}"
    before = TARGETS.format(region="us-east-1", targets=f"{one}, {two}")
    assert changes(before, before) == []
    assert changes(before, TARGETS.format(region="us-east-1", targets=f"{two}, {one}")) == [
        "~ models.m.targets[0].upstream: one -> two",
        "+ models.m.targets[0].model: amazon.a",
        "~ models.m.targets[1].upstream: two -> one",
        "- models.m.targets[1].model: amazon.a",
    ]
    assert changes(before, TARGETS.format(region="us-west-2", targets=two)) == [
        "~ upstreams.one.region: us-east-1 -> us-west-2",
        "~ models.m.targets[0].upstream: one -> two",
        "+ models.m.targets[0].model: amazon.a",
        "- models.m.targets[1]",
        "- models.m.targets[1].upstream: two",
        "- models.m.targets[1].model: amazon.a",
    ]

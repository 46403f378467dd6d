"""Which documents are refused, with which line, field and reason."""

import time

import pytest

from tests.unit.cli.policy.documents import EVERY_KEY, flow, problems, read, with_issuer

MANY_REGIONS = [f"ab-cdefg-{number}" for number in range(10, 100)] + [f"xy-cdefg-{n}" for n in range(10, 20)]
ZONES = f"{{one: {flow(MANY_REGIONS[:50])}, two: {flow(MANY_REGIONS[50:])}}}"


def test_a_document_with_every_key_is_sound() -> None:
    document = read(EVERY_KEY)
    absent = "canaries[0].sticky_by: warning: who sends no header x-session stays on one arm by its subject instead"
    assert [line.partition(": ")[2] for line in document.warnings] == [absent]
    assert document.text == EVERY_KEY


def test_a_json_file_is_a_document() -> None:
    assert read('{"version": 1, "tenants": {"acme": {"suspended": true}}}').policy.tenants


def test_all_mistakes_are_told_in_the_order_of_the_file() -> None:
    access = "access:\n  deny:\n    - 203.0.113.0/24\n    - 10.0.0.1/8\n"
    text = f"version: 1\n{access}identity:\n  issuers:\n    - issuer: x\n"
    assert problems(text) == [
        "policy.yaml:5: access.deny[1]: '10.0.0.1/8': has bits set after its prefix; meant is 10.0.0.0/8 or 10.0.0.1",
        "policy.yaml:8: identity.issuers[0].issuer: must be an http(s) URL of a host, maybe a port and a path, and "
        "nothing else",
        "policy.yaml:8: identity.issuers[0].audiences: is missing",
        "policy.yaml:8: identity.issuers[0].algorithms: is missing",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 2", "version: must be 1"),
        ("version: true", "version: must be a whole number, and is true"),
        ("version: 1.0", "version: must be a whole number, and is a number with a point"),
        ("version: '1'", "version: must be a whole number, and is text"),
        ("acces: {}\nversion: 1", "acces: is no key of a policy document; did you mean access?"),
        (
            "version: 1\ntenants: {a: {suspend: true}}",
            "tenants.a.suspend: is no key of a policy document; did",
        ),
        ("version: 1\naccess:", "access: has no value; give one, or take the key out"),
        ("version: 1\ntenants: {a: {models: }}", "tenants.a.models: has no value; give one, or take the key out"),
        ("version: 1\naccess: {deny: 203.0.113.0/24}", "access.deny: must be a list, and is text"),
        ("version: 1\naccess: {deny: [12]}", "access.deny[0]: must be text, and is a number; put it in quotes"),
        ("version: 1\nidentity: {api_keys: {enabled: yes}}", "enabled: must be true or false, and is text"),
        ("version: 1\nidentity: {api_keys: {enabled: false}}", "nobody could call"),
        ("version: 1\nidentity: {default_scopes: chat chats}", "'chats' is no scope; scopes are chat, embeddings"),
        ("version: 1\naccess: {deny: [010.0.0.1]}", "access.deny[0]: '010.0.0.1': Leading zeros are not permitted"),
        ("version: 1\naccess: {deny: ['fe80::1%eth0']}", "has a zone id"),
        ("version: 1\naccess: {deny: [10.0.0.0/0.255.255.255]}", "no netmask or host mask"),
        ("version: 1\naccess: {trusted_proxies: [192.0.2.0/24]}", "trusted_proxies: needs origin_secret"),
        ("version: 1\naccess: {origin_secret: a, trusted_proxies: [0.0.0.0/0]}", "0.0.0.0/0 is everyone"),
        ("version: 1\naccess: {origin_secret: a, trusted_proxies: ['::/0']}", "::/0 is everyone"),
        ("version: 1\naccess: {origin_secret: a, trusted_proxies: ['::ffff:0:0/96']}", "is everyone"),
        ("version: 1\naccess: {countries: {deny: [UK]}}", "'UK' is no country code of ISO 3166-1 alpha-2; write GB"),
        ("version: 1\naccess: {countries: {deny: [de]}}", "write DE"),
        ("version: 1\naccess: {countries: {deny: [XX]}}", "'XX' is no country code"),
        ("version: 1\naccess: {countries: {deny: [false]}}", 'Norway is "NO"'),
        ("version: 1\nresidency: {zones: {eu: [eu-central]}}", "'eu-central' is no name of a region"),
        ("version: 1\nresidency: {zones: {eu: []}}", "residency.zones.eu: must have at least one entry"),
        ("version: 1\nresidency: {zones: {eu-west-1: [eu-west-1]}}", "has the name of a region"),
        ("version: 1\nresidency: {zones: {eu: [eu-west-1]}, default: us}", "(known: eu) nor a region"),
        ("version: 1\ntenants: {a: {residency: eu}}", "'eu' is neither a zone of this document (known: none)"),
        ("version: 1\ntenants: {-a: {}}", "tenants.-a: a tenant is 1 to 64 letters"),
        ("version: 1\ntenants: {a: {models: ['a b']}}", "models[0]: a model's name is letters"),
        (f"version: 1\ntenants: {{a: {{models: {flow(['m'] * 101)}}}}}", "at most 100 models"),
        (f"version: 1\ntenants: {{a: {{models: {flow(['m' * 99] * 21)}}}}}", "2,000 characters"),
        (f"version: 1\nresidency: {{zones: {{eu: {flow(MANY_REGIONS)}}}}}", "residency.zones.eu: has 1,199 characters"),
        (f"version: 1\nresidency: {{default: {flow(MANY_REGIONS)}}}", "residency.default: has 1,199 characters"),
        (
            f"version: 1\nresidency: {{zones: {ZONES}}}\ntenants:\n  a: {{residency: [one, two]}}",
            "policy.yaml:4: tenants.a.residency: has 1,199 characters of regions, with its zones resolved; at most",
        ),
        (f"version: 1\ntenants: {{a: {{deny: {flow(['192.0.2.1'] * 1001)}}}}}", "1,001 entries; at most 1,000"),
        ("version: 1\ntenants: {a: {suspended: 1}}", "suspended: must be true or false, and is a number"),
    ],
)
def test_a_mistake_is_told(text: str, told: str) -> None:
    [problem] = problems(text)
    assert told in problem


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("algorithms: [none]", "algorithms[0]: 'none' is no algorithm"),
        ("algorithms: []", "algorithms: must have at least one entry"),
        ("algorithms: [HS256]", "algorithms[0]: HS256 needs hmac_secret"),
        ("algorithms: [HS256, RS256], hmac_secret: a", "algorithms[1]: RS256 doesn't go with hmac_secret"),
        ("algorithms: [RS256], hmac_secret: a", "algorithms[0]: RS256 doesn't go with hmac_secret"),
        ("algorithms: [RS256], leeway_s: 61", "leeway_s: must be at most 60"),
        ("algorithms: [RS256], leeway_s: -1", "leeway_s: must be at least 0"),
        ("algorithms: [RS256], jwks_url: http://127.0.0.1/a", "jwks_url: must begin with https://"),
        ("algorithms: [RS256], jwks_url: https://a.example, discovery_url: https://a.example", "beside jwks_url"),
        ("algorithms: [RS256], claims: {tenant: ''}", "claims.tenant: a claim's name is 1 to 128"),
        ("algorithms: [RS256], claims: {subject: /a~b}", "is a JSON Pointer"),
        ("algorithms: [RS256], tenants: []", "tenants: must have at least one entry"),
        ("algorithms: [RS256], tenant: a, tenants: [b]", "tenant: isn't one of tenants"),
        ("algorithms: [RS256], tenant: a, claims: {tenant: b}", "claims.tenant: can't stand beside a fixed tenant"),
        ("algorithms: [RS256], scope_prefix: 'a b'", "scope_prefix: must be"),
        ("algorithms: [RS256], token_type: 'a b'", "token_type: must be"),
    ],
)
def test_a_mistake_in_an_issuer_is_told(fields: str, told: str) -> None:
    [problem] = problems(with_issuer(fields))
    assert problem.startswith("policy.yaml:2: identity.issuers[0].")
    assert told in problem


@pytest.mark.parametrize("issuer", ["https://a.example?x=1", "https://a.example#x", "https://u@a.example", "a.example"])
def test_an_issuer_is_a_plain_https_url(issuer: str) -> None:
    [problem] = problems(with_issuer("algorithms: [RS256]").replace("https://a.example", f'"{issuer}"'))
    assert "identity.issuers[0].issuer: must be an http(s) URL" in problem


def test_loopback_http_is_taken_in_local_mode_alone() -> None:
    text = with_issuer("algorithms: [RS256], jwks_url: http://127.0.0.1:8000/jwks")
    assert read(text, local=True).policy.identity
    assert "must begin with https://" in problems(text)[0]
    assert "must begin with https://" in problems(text.replace("127.0.0.1", "a.example"), local=True)[0]


def test_an_issuer_stands_there_once() -> None:
    issuer = "{issuer: https://a.example, audiences: [ai], algorithms: [RS256], tenant: a}"
    text = f"version: 1\nidentity:\n  issuers:\n    - {issuer}\n    - {issuer}\n"
    assert problems(text) == ["policy.yaml:5: identity.issuers[1].issuer: is that of issuers[0] already"]


def test_what_may_be_a_secret_is_never_repeated() -> None:
    secret = "s3cr3t which was put in place of its name"
    text = with_issuer(f"algorithms: [HS256], hmac_secret: '{secret}'") + f"access: {{origin_secret: '{secret}'}}\n"
    told = "\n".join(problems(text))
    assert "hmac_secret: is the name of a secret" in told
    assert "origin_secret: is the name of a secret" in told
    assert "s3cr3t" not in told


@pytest.mark.parametrize(
    "secret",
    [
        "9f86d081884c7d659a2feaa0c55ad015",
        "k" * 41,
        "QUFB" * 11 + "+=",
        "sk-proj-a_b-c_d-e_f-g_h-i",
        "sk-ant-api03-a-b-c-d-e",
    ],
)
def test_what_looks_like_a_secret_itself_is_no_name_of_one(secret: str) -> None:
    text = with_issuer(f"algorithms: [HS256], hmac_secret: '{secret}'") + f"access: {{origin_secret: '{secret}'}}\n"
    told = problems(text)
    assert [line.partition("secret: ")[2][:25] for line in told] == ["looks like a secret itsel"] * 2
    assert secret not in "".join(told)


@pytest.mark.parametrize(
    "name", ["k" * 40, "an-origin-secret-of-the-edge-in-eu-central-1", "9f86d081884c7d659a2feaa0c55ad01"]
)
def test_a_long_name_of_a_secret_is_taken(name: str) -> None:
    assert read(with_issuer(f"algorithms: [HS256], hmac_secret: '{name}'")).policy.identity


def test_an_issuer_that_could_speak_for_another_s_tenants_is_warned_of() -> None:
    issuers = (
        "    - {issuer: https://a.example, audiences: [ai], algorithms: [RS256], tenant: a}\n"
        "    - {issuer: https://b.example, audiences: [ai], algorithms: [RS256]}\n"
    )
    [warning] = read(f"version: 1\nidentity:\n  issuers:\n{issuers}").warnings
    assert warning.startswith("policy.yaml:5: identity.issuers[1]: warning: has neither tenant nor tenants")


def test_countries_that_can_t_be_known_are_warned_of() -> None:
    [warning] = read("version: 1\naccess:\n  countries: {deny: [KP]}\n").warnings
    assert warning.startswith("policy.yaml:3: access.countries: warning: without trusted_proxies")


def test_of_very_many_mistakes_the_first_are_told() -> None:
    told = problems(f"version: 1\naccess: {{deny: {flow(['x'] * 1000)}}}")
    assert len(told) == 101
    assert told[-1] == "policy.yaml: and 900 more problems"


def test_a_hundred_thousand_networks_are_read_in_seconds() -> None:
    networks = "".join(f"    - 10.{i >> 16}.{i >> 8 & 255}.{i & 255}\n" for i in range(100_000))
    begun_s = time.process_time()
    document = read(f"version: 1\naccess:\n  deny:\n{networks}")
    assert time.process_time() - begun_s < 10
    assert document.lines.of_value(("access", "deny", 99_999)) == 100_003

"""`sallyport keys create`: what it stores, shows once, and refuses."""

import json
import re
import time

import pytest

from sallyport.identity.api_keys import KEY_PATTERN, parse
from sallyport.policy.limit_texts import parse_limits, per_minute
from tests.functional.keys.command import Keys


def test_a_key_is_shown_once_and_alone_on_stdout(keys: Keys) -> None:
    result = keys.run("create", "--tenant", "acme", "--name", "app")
    text = result.stdout.strip()
    assert re.fullmatch(KEY_PATTERN, text)
    assert text not in result.stderr
    assert "expires: never. Not shown again." in result.stderr
    parts = parse(text)
    assert parts is not None
    stored = json.dumps(keys.item(parts.key_id))
    assert parts.secret_sha256 in stored
    assert text[20:] not in stored


def test_a_key_is_what_the_first_door_admits(keys: Keys) -> None:
    made = keys.create(
        "--subject=ci@acme", "--scopes=models chat", "--models=gpt-4o, org/model:1",
        "--residency=eu-central-1,eu-west-1", "--requests-per-minute=7",
        "--allow=198.51.100.0/24, 2001:db8::/32, 192.0.2.1",
    )  # fmt: skip
    identity = keys.identity(made["key"])
    assert (identity.tenant, identity.subject, identity.scopes) == ("acme", "ci@acme", ("models", "chat"))
    assert (identity.models, identity.residency) == (("gpt-4o", "org/model:1"), ("eu-central-1", "eu-west-1"))
    assert identity.limits == (per_minute(7),)
    assert identity.allow == ("198.51.100.0/24", "2001:db8::/32", "192.0.2.1")


def test_apps_and_the_choice_of_a_canary_s_arm_must_be_named(keys: Keys) -> None:
    assert keys.identity(keys.create()["key"]).scopes == ("chat", "embeddings", "models")
    assert keys.identity(keys.create("--scopes=chat apps canary")["key"]).scopes == ("chat", "apps", "canary")


def test_a_key_may_have_limits_of_its_own(keys: Keys) -> None:
    made = keys.create("--limit=tokens=50000/60s", "--limit=requests=10/1m", "--limit=usd=0.50/month")
    assert made["limits"] == ["requests=10/1m", "tokens=50000/1m", "usd=0.5/month"]
    assert made["requests_per_minute"] == 10
    assert keys.item(made["key_id"])["limits"] == {"S": "tokens=50000/1m,usd=0.5/month"}
    assert keys.identity(made["key"]).limits == parse_limits("requests=10/1m,tokens=50000/1m,usd=0.5/month")
    assert "requests=10/1m,tokens=50000/1m,usd=0.5..  active" in keys.text("list")
    assert "requests=10/1m, tokens=50000/1m, usd=0.5/month" in keys.text("show", made["key_id"])


def test_a_budget_is_counted_by_prices_and_the_operator_is_told(keys: Keys) -> None:
    created = ("create", "--tenant=acme", "--name=app")
    assert "prices in the policy's models" in keys.run(*created, "--limit", "usd=20/month").stderr
    assert "prices" not in keys.run(*created, "--limit", "tokens=20/1m").stderr


def test_the_json_tells_all_but_the_hash(keys: Keys) -> None:
    made = keys.create("--expires-in", "90d", "--allow", "192.0.2.1")
    assert {"key_id", "key", "tenant", "name", "expires", "scopes", "allow", "created_by", "state"} <= made.keys()
    assert made["key"].startswith(f"sp_{made['key_id']}_")
    assert (made["state"], made["allow"], made["models"]) == ("active", ["192.0.2.1"], None)
    assert made["created_by"]


def test_a_key_ends_in_so_many_days_or_at_the_begin_of_a_day(keys: Keys) -> None:
    in_days, on_date = keys.create("--expires-in", "2d"), keys.create("--expires-in", "2099-01-31")
    assert keys.verdict(in_days["key"], time.time() + 2 * 86_400 - 60) == "good"
    assert keys.verdict(in_days["key"], time.time() + 2 * 86_400) == "key_expired"
    assert on_date["expires"] == "2099-01-31T00:00:00+00:00"
    assert keys.verdict(on_date["key"], 4_073_500_799) == "good"
    assert keys.verdict(on_date["key"], 4_073_500_800) == "key_expired"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--allow", "10.0.0.1/8"], "10.0.0.1/8"),
        (["--allow", "10.0.0.0/255.0.0.0"], "10.0.0.0/255.0.0.0"),
        (["--allow", "010.0.0.1"], "010.0.0.1"),
        (["--allow", "fe80::1%eth0"], "fe80::1%eth0"),
        (["--allow", "everyone"], "everyone"),
        (["--allow", ",".join(f"192.0.2.{number}" for number in range(51))], "at most 50 networks"),
        (["--models", "gpt 4"], "can't be the name of a model"),
        (["--models", "gpt-ä"], "can't be the name of a model"),
        (["--models", "-"], "can't be the name of a model"),
        (["--models", ",".join(f"m{number}" for number in range(101))], "at most 100 models"),
        (["--models", ",".join(f"{number:0190}" for number in range(11))], "2,000 characters"),
        (["--scopes", "chat admin"], "admin: scopes are chat embeddings models"),
        (["--scopes", ""], "scopes are"),
        (["--residency", "europe"], "isn't an AWS region"),
        (["--subject", "a b"], "isn't"),
        (["--requests-per-minute", "0"], "not in the range"),
        (["--limit", "tokens=many/1m"], "'tokens=many/1m': an amount of tokens is a whole number"),
        (["--limit", "concurrent=51"], "at most 50"),
        (["--limit", "tokens=1/1m", "--limit", "tokens=2/60s"], "two limits of the same unit and window"),
        (["--limit", "requests=9/1m", "--requests-per-minute", "9"], "two limits of the same unit and window"),
        ([f"--limit=requests=1/{seconds}s" for seconds in range(61, 72)], "at most 10 limits"),
        (["--expires-in", "soon"], "90d, 12h, 30m or 2027-01-31"),
        (["--expires-in", "0d"], "90d, 12h, 30m or 2027-01-31"),
        (["--expires-in", "2020-01-31"], "2020-01-31 has begun already"),
        (["--expires-in", "2099-02-30"], "day"),
        (["--tenant", "a@b"], "letters, digits, dots, dashes and underscores"),
        (["--tenant", "t" * 65], "1 to 64"),
    ],
)
def test_what_no_key_can_be_is_refused_and_nothing_stored(keys: Keys, arguments: list[str], reason: str) -> None:
    assert reason in keys.refusal("create", "--tenant", "acme", "--name", "app", *arguments)
    assert keys.count() == 0


def test_the_largest_grant_is_admitted(keys: Keys) -> None:
    models = ",".join(f"{number:0199}" for number in range(10))
    made = keys.create("--models", models, "--allow", ",".join(f"2001:db8:{number:x}::/48" for number in range(50)))
    identity = keys.identity(made["key"])
    assert identity.models is not None
    assert (len(identity.models), len(identity.allow)) == (10, 50)

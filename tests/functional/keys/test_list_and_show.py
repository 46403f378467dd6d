"""`sallyport keys list` and `show`: what an operator sees, and never a hash or a secret."""

import time
from typing import Any

import pytest

from sallyport_cli.key_items import KeyGrant, store_key
from sallyport_cli.keys.table import KeyTable
from sallyport_cli.keys.uses import read_days
from sallyport_cli.local.emulated_data import emulator_clients
from tests.functional.keys.command import Keys
from tests.support.aws import CONFIG_TABLE, COUNTERS_TABLE

HOUR_S, DAY_S = 3600, 86_400


def states(keys: Keys) -> dict[str, str]:
    """The states in the printed table, by key id."""
    header, *lines = keys.text("list", "--all").splitlines()
    start, end = header.index("STATE"), header.index("LAST USED")
    return {line.split()[0]: line[start:end].strip() for line in lines}


def number(value: float) -> dict[str, str]:
    return {"N": str(int(value))}


def test_a_list_has_a_line_for_each_key(keys: Keys) -> None:
    made = keys.create("--models", "gpt-4o", "--scopes", "chat")
    keys.used(made["key_id"], "2027-01-15")
    header, line = keys.text("list").splitlines()
    assert header.split("  ")[0] == "ID"
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert line.split() == [made["key_id"], "acme", "app", "chat", "gpt-4o", "-", "active", "2027-01-15", today]


def test_an_empty_list_is_a_header_or_an_empty_array(keys: Keys) -> None:
    assert keys.text("list").split()[0] == "ID"
    assert keys.json("list") == []


def test_a_list_is_sorted_and_may_be_of_one_tenant(keys: Keys) -> None:
    for tenant, name in (("globex", "b"), ("acme", "z"), ("globex", "a")):
        keys.text("create", "--tenant", tenant, "--name", name)
    assert [(key["tenant"], key["name"]) for key in keys.json("list")] == [
        ("acme", "z"),
        ("globex", "a"),
        ("globex", "b"),
    ]
    assert [key["name"] for key in keys.json("list", "--tenant", "globex")] == ["a", "b"]
    assert keys.json("list", "--tenant", "initech") == []


def test_a_state_says_what_will_become_of_a_key(keys: Keys) -> None:
    now = time.time()
    changes: dict[str, dict[str, Any]] = {
        "active": {"not_after": number(now + 40 * DAY_S)},
        "expires in 3 days": {"not_after": number(now + 3 * DAY_S + HOUR_S)},
        "expires in 5 hours": {"not_after": number(now + 5 * HOUR_S + 60)},
        "expires in 9 min": {"not_after": number(now + 590)},
        "expired": {"not_after": number(now - 1)},
        "revoked": {"revoked_at": number(now - 1)},
        "rotating until 2099-01-31 00:00 UTC": {"not_after": number(4_073_500_800), "rotated_to": {"S": "0" * 16}},
        "broken": {"allow": {"S": "somewhere"}},
    }
    expected = {}
    for state, attributes in changes.items():
        key_id = keys.create()["key_id"]
        keys.change(key_id, **attributes)
        expected[key_id] = state
    assert states(keys) == expected


def test_what_has_ended_is_listed_on_demand(keys: Keys) -> None:
    active, expired, revoked = (keys.create()["key_id"] for _ in range(3))
    keys.change(expired, not_after=number(1))
    keys.change(revoked, revoked_at=number(1))
    result = keys.run("list")
    assert (active in result.stdout, expired in result.stdout, revoked in result.stdout) == (True, False, False)
    assert "2 more, revoked or expired: --all lists them too" in result.stderr
    assert {key["key_id"] for key in keys.json("list", "--all")} == {active, expired, revoked}


def test_a_list_holds_nothing_but_keys(keys: Keys) -> None:
    policy = {"pk": {"S": "policy"}, "sk": {"S": "current"}, "version": {"N": "1"}}
    keys.emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item=policy)
    assert keys.json("list") == []


def test_a_list_of_many_pages_is_whole(keys: Keys) -> None:
    made = {keys.create()["key_id"] for _ in range(5)}
    pages = KeyTable(keys.emulator.dynamodb, CONFIG_TABLE, page_size=2).items()
    assert {item["pk"]["S"].removeprefix("key#") for item in pages} == made


def test_a_list_of_many_keys_is_whole(keys: Keys) -> None:
    """One BatchGetItem takes 100 keys."""
    ids = {f"{number:016}" for number in range(101)}
    for key_id in ids:
        store_key(keys.emulator.dynamodb, CONFIG_TABLE, key_id, "0" * 64, KeyGrant("acme", "app"))
    assert {key["key_id"] for key in keys.json("list")} == ids


class Sparing:
    """A client that reads one key of a batch, and after so many readings none."""

    def __init__(self, client: Any, readings: int = 1000) -> None:
        self._client = client
        self._readings = readings
        self.get_paginator = client.get_paginator

    def batch_get_item(self, RequestItems: dict[str, dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        ((table, wanted),) = RequestItems.items()
        if self._readings == 0:
            return {"Responses": {}, "UnprocessedKeys": RequestItems}
        self._readings -= 1
        first, left = wanted["Keys"][:1], wanted["Keys"][1:]
        answer = self._client.batch_get_item(RequestItems={table: {**wanted, "Keys": first}})
        return {**answer, "UnprocessedKeys": {table: {**wanted, "Keys": left}} if left else {}}


class Requests:
    """What is asked of DynamoDB by a client."""

    def __init__(self, client: Any) -> None:
        self.made: list[tuple[str, Any]] = []
        client.meta.events.register("provide-client-params.dynamodb.*", self._note)

    def _note(self, params: Any, model: Any, **_: Any) -> None:
        self.made.append((model.name, params))


def test_a_list_reads_the_keys_and_nothing_else_of_the_table(keys: Keys) -> None:
    """A policy of many networks is megabytes, in many versions; a scan would read them all."""
    acme = keys.create()["key_id"]
    keys.text("create", "--tenant", "globex", "--name", "app")
    client, _ = emulator_clients(keys.url, "us-east-1")
    requests = Requests(client)
    assert len(KeyTable(client, CONFIG_TABLE).items()) == 2
    assert [name for name, _ in requests.made] == ["Query", "BatchGetItem"]
    assert requests.made[0][1]["KeyConditionExpression"] == "pk = :pk"
    KeyTable(client, CONFIG_TABLE).items("acme")
    wanted = requests.made[-1][1]["RequestItems"][CONFIG_TABLE]["Keys"]
    assert list(wanted) == [{"pk": {"S": f"key#{acme}"}, "sk": {"S": "key"}}]


def test_keys_that_dynamodb_leaves_unread_are_asked_for_again(keys: Keys) -> None:
    made = {keys.create()["key_id"] for _ in range(3)}
    client: Any = Sparing(keys.emulator.dynamodb)
    items = KeyTable(client, CONFIG_TABLE).items()
    assert {item["pk"]["S"].removeprefix("key#") for item in items} == made
    assert not [item for item in items if "secret_sha256" in item]


def test_an_entry_of_the_index_without_a_key_is_no_key(keys: Keys) -> None:
    keys.index("0" * 16)
    assert keys.json("list", "--all") == []


def test_a_key_that_replaces_another_is_listed_beside_it(keys: Keys) -> None:
    old = keys.create()
    new = keys.json("rotate", old["key_id"])
    assert {key["key_id"] for key in keys.json("list", "--tenant", "acme")} == {old["key_id"], new["key_id"]}
    assert keys.count() == 2


def test_the_hash_does_not_leave_the_table_for_a_list(keys: Keys) -> None:
    keys.create()
    assert "secret_sha256" not in KeyTable(keys.emulator.dynamodb, CONFIG_TABLE).items()[0]


def test_days_of_last_use_are_read_in_batches(keys: Keys) -> None:
    ids = [f"k{number}" for number in range(250)]
    for key_id in ids[::50]:
        keys.used(key_id, "2027-01-15")
    days = read_days(keys.emulator.dynamodb, COUNTERS_TABLE, [*ids, *ids])
    assert days == dict.fromkeys(ids[::50], "2027-01-15")


def test_days_that_dynamodb_leaves_unread_are_asked_for_again(keys: Keys) -> None:
    keys.used("k1", "2027-01-15")
    keys.used("k2", "2027-01-16")
    client: Any = Sparing(keys.emulator.dynamodb)
    assert read_days(client, COUNTERS_TABLE, ["k1", "k2"]) == {"k1": "2027-01-15", "k2": "2027-01-16"}


def test_days_that_stay_unread_are_unknown(keys: Keys) -> None:
    keys.used("k1", "2027-01-15")
    keys.used("k2", "2027-01-16")
    client: Any = Sparing(keys.emulator.dynamodb, readings=1)
    assert read_days(client, COUNTERS_TABLE, ["k1", "k2"], lambda _: None) == {"k1": "2027-01-15"}


def test_with_a_table_alone_the_last_use_is_not_known(keys: Keys) -> None:
    made = keys.create()
    keys.used(made["key_id"], "2027-01-15")
    properties = {"AttributeDefinitions": [], "KeySchema": [], "BillingMode": "PAY_PER_REQUEST"}
    for name, kind in (("pk", "HASH"), ("sk", "RANGE")):
        properties["AttributeDefinitions"].append({"AttributeName": name, "AttributeType": "S"})  # type: ignore[attr-defined]
        properties["KeySchema"].append({"AttributeName": name, "KeyType": kind})  # type: ignore[attr-defined]
    keys.emulator.dynamodb.create_table(TableName="other", **properties)  # type: ignore[arg-type]
    try:
        keys.emulator.dynamodb.put_item(TableName="other", Item=keys.item(made["key_id"]))
        keys.index(made["key_id"], table="other")
        assert keys.json("list", "--table", "other")[0]["last_used"] is None
        assert keys.text("list", "--table", "other").splitlines()[1].split()[-2] == "-"
    finally:
        keys.emulator.dynamodb.delete_table(TableName="other")


@pytest.mark.parametrize("form", ["{id}", "sp_{id}", "{key}", " {key}\n"])
def test_a_key_may_be_named_by_its_id_or_its_text(keys: Keys, form: str) -> None:
    made = keys.create("--allow", "192.0.2.1")
    keys.used(made["key_id"], "2027-01-15")
    result = keys.run("show", form.format(id=made["key_id"], key=made["key"]), "--output", "json")
    assert result.exit_code == 0
    assert made["key"] not in result.output
    shown = keys.json("show", made["key_id"])
    assert shown == {name: value for name, value in made.items() if name != "key"} | {"last_used": "2027-01-15"}


def test_show_prints_what_is_set(keys: Keys) -> None:
    made = keys.create("--models", "gpt-4o,gpt-5", "--expires-in", "2099-01-31")
    lines = keys.text("show", made["key_id"]).splitlines()
    assert f"key id:              {made['key_id']}" in lines
    assert "models:              gpt-4o, gpt-5" in lines
    assert "expires:             2099-01-31T00:00:00+00:00" in lines
    assert not [line for line in lines if line.startswith(("residency", "revoked", "None"))]


def test_what_somebody_stored_is_fit_for_a_terminal(keys: Keys) -> None:
    made = keys.create()
    keys.change(made["key_id"], name={"S": "\x1b[2Japp\r\n"}, not_after=number(10**20), created_at={"S": "yesterday"})
    for output in (keys.text("list"), keys.text("show", made["key_id"])):
        assert "\x1b" not in output
        assert "?[2Japp??" in output
    assert keys.json("show", made["key_id"])["expires"] is None


def test_an_item_of_nothing_is_broken_and_no_error(keys: Keys) -> None:
    keys.emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item={"pk": {"S": "key#bare"}, "sk": {"S": "key"}})
    keys.index("bare")
    assert states(keys) == {"bare": "broken"}

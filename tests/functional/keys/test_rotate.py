"""`sallyport keys rotate`: the same grant under a new secret, both or neither stored, and a grace that ends."""

import re
import time
from collections.abc import Callable
from typing import Any

import click
import pytest
from botocore.exceptions import ReadTimeoutError

from sallyport.identity.api_keys import KEY_PATTERN
from sallyport_cli.keys.rotation import Rotation, rotate_key
from sallyport_cli.keys.table import KeyTable, StoredItem
from tests.functional.keys.command import Keys
from tests.support.aws import CONFIG_TABLE

DAY_S = 86_400
GRANT = (
    "--models=gpt-4o",
    "--residency=eu-central-1",
    "--requests-per-minute=9",
    "--limit=usd=20/month",
    "--allow=192.0.2.0/24",
    "--scopes=chat",
)


def test_both_keys_work_until_the_grace_ends(keys: Keys) -> None:
    old = keys.create()
    new = keys.json("rotate", old["key_id"])
    now = time.time()
    assert (keys.verdict(old["key"]), keys.verdict(new["key"])) == ("good", "good")
    assert (keys.verdict(old["key"], now + DAY_S + 60), keys.verdict(new["key"], now + DAY_S + 60)) == (
        "key_expired",
        "good",
    )
    assert keys.verdict(old["key"], now + DAY_S - 60) == "good"


def test_the_new_key_has_the_old_ones_grant_and_family(keys: Keys) -> None:
    old = keys.create(*GRANT)
    keys.change(old["key_id"], attribute_of_another_version={"S": "kept"})
    new = keys.json("rotate", old["key_id"])
    was, is_now = keys.identity(old["key"]), keys.identity(new["key"])
    assert is_now == was._replace(key_id=new["key_id"], key_family=old["key_id"])
    item = keys.item(new["key_id"])
    assert item["attribute_of_another_version"] == {"S": "kept"}
    assert item["rotated_from"] == {"S": old["key_id"]}
    assert keys.item(old["key_id"])["rotated_to"] == {"S": new["key_id"]}
    assert item["secret_sha256"] != keys.item(old["key_id"])["secret_sha256"]
    assert "not_after" not in item


def test_a_family_keeps_the_first_keys_id(keys: Keys) -> None:
    first = keys.create()
    second = keys.json("rotate", first["key_id"])
    third = keys.json("rotate", second["key_id"])
    assert keys.identity(third["key"]).key_family == first["key_id"]
    assert third["rotated_from"] == second["key_id"]


def test_the_new_key_is_shown_once_and_alone_on_stdout(keys: Keys) -> None:
    old = keys.create()
    result = keys.run("rotate", old["key"])
    assert re.fullmatch(KEY_PATTERN, result.stdout.strip())
    assert old["key"] not in result.output
    assert result.stdout.strip() not in result.stderr
    assert f"key {old['key_id']}, which it replaces, works until " in result.stderr


def test_without_grace_the_old_key_ends_at_once(keys: Keys) -> None:
    old = keys.create()
    new = keys.json("rotate", old["key_id"], "--grace", "0")
    assert (keys.verdict(old["key"]), keys.verdict(new["key"])) == ("key_expired", "good")


def test_a_grace_never_lengthens_a_keys_life(keys: Keys) -> None:
    old = keys.create("--expires-in", "1h")
    new = keys.json("rotate", old["key_id"], "--grace", "7d")
    assert new["replaces"] == {"key_id": old["key_id"], "expires": old["expires"]}
    assert new["expires"] == old["expires"]
    assert keys.item(old["key_id"])["not_after"] == keys.item(new["key_id"])["not_after"]


def test_the_new_key_may_be_given_another_end(keys: Keys) -> None:
    old = keys.create("--expires-in", "1h")
    assert keys.json("rotate", old["key_id"], "--expires-in", "2099-01-31")["expires"] == "2099-01-31T00:00:00+00:00"


@pytest.mark.parametrize("grace", ["1", "-1h", "1w", "00", "forever"])
def test_a_grace_that_is_none_is_refused(keys: Keys, grace: str) -> None:
    old = keys.create()
    assert "24h, 30m, 7d or 0" in keys.refusal("rotate", old["key_id"], f"--grace={grace}")


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"revoked_at": {"N": "1800000000"}}, "was revoked at 2027-01-15 08:00 UTC"),
        ({"not_after": {"N": "1700000000"}}, "expired at 2023-11-14 22:13 UTC"),
        ({"rotated_to": {"S": "0" * 16}}, f"was rotated already: {'0' * 16} replaces it"),
        ({"allow": {"S": "nowhere"}}, "its stored record is broken"),
    ],
)
def test_a_key_that_is_not_in_use_is_not_rotated(keys: Keys, attributes: dict[str, Any], reason: str) -> None:
    old = keys.create()
    keys.change(old["key_id"], **attributes)
    before = keys.item(old["key_id"])
    assert keys.refusal("rotate", old["key_id"]) == f"Error: key {old['key_id']}" + (
        f": {reason}" if reason.startswith("its") else f" {reason}"
    )
    assert keys.item(old["key_id"]) == before
    assert keys.count() == 1


class Overtaken(KeyTable):
    """After the first read of the key, somebody else's command comes in between."""

    def __init__(self, client: Any, between: Callable[[], object]) -> None:
        super().__init__(client, CONFIG_TABLE)
        self._between: Callable[[], object] | None = between

    def read(self, key_id: str) -> StoredItem | None:
        item = super().read(key_id)
        between, self._between = self._between, None
        if between is not None:
            between()
        return item


def overtaken(keys: Keys, key_id: str, between: Callable[[], object]) -> str:
    with pytest.raises(click.ClickException) as caught:
        rotate_key(Overtaken(keys.emulator.dynamodb, between), Rotation(key_id, 60, None, "me"), int(time.time()))
    return caught.value.message


def test_of_two_rotations_at_once_one_wins(keys: Keys) -> None:
    old, won = keys.create(), list[dict[str, Any]]()
    message = overtaken(keys, old["key_id"], lambda: won.append(keys.json("rotate", old["key_id"])))
    assert message == f"key {old['key_id']} was rotated already: {won[0]['key_id']} replaces it"
    assert {key["key_id"] for key in keys.json("list", "--all")} == {old["key_id"], won[0]["key_id"]}


def test_a_key_revoked_during_its_rotation_stays_revoked_and_has_no_successor(keys: Keys) -> None:
    old = keys.create()
    assert "was revoked at" in overtaken(keys, old["key_id"], lambda: keys.text("revoke", old["key_id"]))
    assert keys.verdict(old["key"]) == "key_revoked"
    assert keys.count() == 1


def test_a_key_whose_end_was_moved_meanwhile_is_left_alone(keys: Keys) -> None:
    old = keys.create()
    message = overtaken(keys, old["key_id"], lambda: keys.change(old["key_id"], not_after={"N": "4073500800"}))
    assert message == f"key {old['key_id']} was changed meanwhile; nothing was done"
    assert keys.item(old["key_id"])["not_after"] == {"N": "4073500800"}
    assert keys.count() == 1


class Deaf:
    """A client that hears no answer to a transaction, made (or not made) all the same."""

    def __init__(self, client: Any, *, makes_it: bool) -> None:
        self._client = client
        self._makes_it = makes_it
        self.exceptions = client.exceptions

    def get_item(self, **request: Any) -> Any:
        return self._client.get_item(**request)

    def transact_write_items(self, **request: Any) -> Any:
        if self._makes_it:
            self._client.transact_write_items(**request)
        raise ReadTimeoutError(endpoint_url="http://127.0.0.1")


def test_a_new_key_is_not_lost_with_an_answer(keys: Keys) -> None:
    old = keys.create()
    client: Any = Deaf(keys.emulator.dynamodb, makes_it=True)
    key, _, _ = rotate_key(KeyTable(client, CONFIG_TABLE), Rotation(old["key_id"], 60, None, "me"), int(time.time()))
    assert keys.verdict(key.text) == "good"


def test_a_rotation_that_was_not_made_is_an_error(keys: Keys) -> None:
    old = keys.create()
    client: Any = Deaf(keys.emulator.dynamodb, makes_it=False)
    with pytest.raises(click.ClickException, match="timeout"):
        rotate_key(KeyTable(client, CONFIG_TABLE), Rotation(old["key_id"], 60, None, "me"), int(time.time()))
    assert keys.count() == 1
    assert "rotated_to" not in keys.item(old["key_id"])


def test_a_key_gone_meanwhile_is_no_such_key(keys: Keys) -> None:
    old = keys.create()
    assert overtaken(keys, old["key_id"], keys.emulator.empty_tables) == f"no such key: {old['key_id']}"
    assert keys.count() == 0

"""`sallyport keys revoke`: for good, as often as one likes, by whatever one holds of a key."""

import time

import pytest

from tests.functional.keys.command import Keys


@pytest.mark.parametrize("form", ["{id}", "sp_{id}", "{key}"])
def test_a_revoked_key_is_refused_at_the_door(keys: Keys, form: str) -> None:
    made, other = keys.create(), keys.create()
    result = keys.run("revoke", form.format(id=made["key_id"], key=made["key"]))
    assert result.exit_code == 0
    assert "revoked, in force within 15 seconds (or the stack's KeyRevocationSeconds)" in result.stdout
    assert made["key"] not in result.output
    assert (keys.verdict(made["key"]), keys.verdict(other["key"])) == ("key_revoked", "good")


def test_a_revocation_is_dated_and_signed(keys: Keys) -> None:
    made = keys.create()
    keys.text("revoke", made["key_id"])
    item = keys.item(made["key_id"])
    assert abs(int(item["revoked_at"]["N"]) - time.time()) < 60
    assert item["revoked_by"] == item["created_by"]


def test_a_second_revocation_changes_nothing(keys: Keys) -> None:
    made = keys.create()
    keys.change(made["key_id"], revoked_at={"N": "1800000000"})
    assert "revoked already since 2027-01-15 08:00 UTC" in keys.text("revoke", made["key_id"])
    assert keys.item(made["key_id"])["revoked_at"] == {"N": "1800000000"}
    assert keys.json("revoke", made["key_id"])[0]["revoked_before"] is True


def test_several_keys_are_revoked_though_one_is_unknown(keys: Keys) -> None:
    first, second = keys.create(), keys.create()
    result = keys.run("revoke", first["key_id"], "0" * 16, second["key_id"], first["key"], "--output", "json")
    assert result.exit_code == 1
    assert result.stderr == f"Error: no such key: {'0' * 16}\n"
    assert {keys.verdict(first["key"]), keys.verdict(second["key"])} == {"key_revoked"}
    assert result.stdout.count('"revoked_before": false') == 2


def test_an_unknown_key_is_an_error_and_stores_nothing(keys: Keys) -> None:
    for command in ("revoke", "show", "rotate"):
        assert keys.refusal(command, "0" * 16) == f"Error: no such key: {'0' * 16}"
    assert keys.count() == 0


@pytest.mark.parametrize("command", ["revoke", "show", "rotate"])
def test_what_is_no_key_is_refused_without_repeating_it(keys: Keys, command: str) -> None:
    made = keys.create()
    for wrong in (made["key"][:-1], made["key"] + "a", made["key"].swapcase(), "", "key#x"):
        message = keys.refusal(command, wrong)
        assert "neither a key's id, nor sp_ and its id, nor a whole key" in message
        assert made["key"][20:60] not in message.swapcase() + message


@pytest.mark.parametrize("command", ["show", "rotate"])
def test_too_many_keys_are_refused_without_repeating_them(keys: Keys, command: str) -> None:
    made = keys.create()
    result = keys.run(command, made["key"], made["key"])
    assert result.exit_code == 2
    assert "one key at a time" in result.stderr
    assert made["key"] not in result.output


def test_a_successor_of_a_revoked_key_is_named(keys: Keys) -> None:
    old = keys.create()
    new = keys.json("rotate", old["key_id"])
    result = keys.run("revoke", old["key_id"])
    assert f"key {new['key_id']}, which replaced it, isn't revoked by this" in result.stderr
    assert keys.verdict(new["key"]) == "good"

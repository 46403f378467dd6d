"""Failed credentials: who guesses is not heard for a while, and who shares an address with a guesser is."""

import json
from typing import Any

import pytest

from sallyport.gateway.authorize import Authorizer
from sallyport.identity.api_keys import NewKey, mint
from sallyport.runtime.errors import InvocationRefused
from tests.functional.authorizer.door import Clock, bearer, change_key, decide, effect, make, put_key
from tests.support.aws import CONFIG_TABLE, COUNTERS_TABLE, Emulator

LIMIT = 5
ADDRESS = "198.51.100.7"


@pytest.fixture
def key(emulator: Emulator) -> NewKey:
    emulator.empty_tables()
    return put_key(emulator)


def limited(emulator: Emulator, clock: Clock) -> Authorizer:
    return make(emulator.url, now=clock, SALLYPORT_FAILED_CREDENTIALS_PER_MINUTE=str(LIMIT))


def fail(door: Authorizer, times: int, headers: dict[str, str] | None = None, address: str = ADDRESS) -> None:
    for _ in range(times):
        with pytest.raises(InvocationRefused, match=r"^Unauthorized$"):
            decide(door, bearer(mint().text) if headers is None else headers, source_ip=address)


def reasons(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line).get("reason", "") for line in capsys.readouterr().out.splitlines()]


def counters(emulator: Emulator) -> list[dict[str, Any]]:
    items = emulator.dynamodb.scan(TableName=COUNTERS_TABLE)["Items"]
    return [item for item in items if item["pk"]["S"].startswith("failure#")]


def test_over_the_limit_a_credential_is_not_looked_at(
    emulator: Emulator, key: NewKey, capsys: pytest.CaptureFixture[str]
) -> None:
    door = limited(emulator, Clock())
    fail(door, LIMIT + 3)
    assert reasons(capsys) == ["key_unknown"] * LIMIT + ["too_many_failures"] * 3
    with pytest.raises(InvocationRefused):
        decide(door, bearer(key.text))
    assert effect(decide(door, bearer(key.text), source_ip="198.51.100.8")) == "Allow"


def test_a_refusal_from_memory_costs_neither_a_write_nor_a_read(emulator: Emulator, key: NewKey) -> None:
    door = limited(emulator, Clock())
    fail(door, LIMIT + 1)
    before = counters(emulator)
    (item,) = before
    assert item["pk"]["S"] == f"failure#{ADDRESS}"
    fail(door, 20)
    assert counters(emulator) == before


def test_another_process_counts_on(emulator: Emulator, key: NewKey, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    fail(limited(emulator, clock), LIMIT)
    capsys.readouterr()
    fail(limited(emulator, clock), 2)
    assert reasons(capsys) == ["key_unknown", "too_many_failures"]


def test_an_address_becomes_free_again(emulator: Emulator, key: NewKey) -> None:
    clock = Clock()
    door = limited(emulator, clock)
    fail(door, LIMIT + 1)
    clock.now_s += 120
    assert effect(decide(door, bearer(key.text))) == "Allow"


def test_a_neighbour_whose_key_was_good_goes_on_for_as_long_as_it_is(emulator: Emulator, key: NewKey) -> None:
    clock = Clock()
    door = limited(emulator, clock)
    assert effect(decide(door, bearer(key.text))) == "Allow"
    for _ in range(10):
        fail(door, LIMIT + 1)
        clock.now_s += 14
        assert effect(decide(door, bearer(key.text))) == "Allow"
    change_key(emulator, key, "revoked_at", {"N": "1"})
    clock.now_s += 15
    fail(door, 1, bearer(key.text))


def test_an_ipv6_address_counts_as_its_64(emulator: Emulator, key: NewKey) -> None:
    door = limited(emulator, Clock())
    fail(door, LIMIT + 1, address="2001:db8:0:7::1")
    with pytest.raises(InvocationRefused):
        decide(door, bearer(key.text), source_ip="2001:db8:0:7:ffff::9")
    assert effect(decide(door, bearer(key.text), source_ip="2001:db8:0:8::1")) == "Allow"
    (item,) = counters(emulator)
    assert item["pk"]["S"] == "failure#2001:db8:0:7::/64"


def test_requests_without_a_credential_are_not_counted(emulator: Emulator, key: NewKey) -> None:
    door = limited(emulator, Clock())
    fail(door, LIMIT * 4, headers={})
    assert counters(emulator) == []
    assert effect(decide(door, bearer(key.text))) == "Allow"


def test_without_its_table_failures_are_counted_in_memory(
    emulator: Emulator, key: NewKey, capsys: pytest.CaptureFixture[str]
) -> None:
    door = make(emulator.url, SALLYPORT_COUNTERS_TABLE="gone", SALLYPORT_FAILED_CREDENTIALS_PER_MINUTE=str(LIMIT))
    fail(door, LIMIT + 3)
    printed = capsys.readouterr().out
    assert printed.count("too_many_failures") >= 1
    assert '"LimitStoreFailure": 1' in printed


def test_the_day_of_use_is_kept_and_nothing_else_is_written(emulator: Emulator, key: NewKey) -> None:
    door = limited(emulator, Clock())
    before = emulator.dynamodb.scan(TableName=CONFIG_TABLE)["Items"]
    for _ in range(3):
        decide(door, bearer(key.text))
    (item,) = emulator.dynamodb.scan(TableName=COUNTERS_TABLE)["Items"]
    assert item["pk"]["S"] == f"used#{key.key_id}"
    assert emulator.dynamodb.scan(TableName=CONFIG_TABLE)["Items"] == before

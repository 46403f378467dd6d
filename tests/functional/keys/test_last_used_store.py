"""Days of last use in DynamoDB, through the slim client and through boto3: no older day ever wins."""

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sallyport.adapters.aws_client import DYNAMODB, AwsCall, AwsClient, AwsError
from sallyport.adapters.dynamodb_keys import DynamoDbLastUsedStore, read_attributes
from sallyport.identity.last_used import KEPT_S, LastUsed
from tests.support.aws import COUNTERS_TABLE, LOCAL_AWS, Emulator


class Boto3Call:
    def __init__(self, client: Any) -> None:
        self._client = client

    def call(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        assert operation == "UpdateItem"
        try:
            return dict(self._client.update_item(**payload))
        except ClientError as error:
            raise AwsError(error.response["Error"]["Code"], error.response) from error


@pytest.fixture(params=["slim", "boto3"])
def client(request: pytest.FixtureRequest, emulator: Emulator) -> AwsCall:
    emulator.empty_tables()
    if request.param == "boto3":
        return Boto3Call(emulator.dynamodb)
    return AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url})


def stored(emulator: Emulator, key_id: str) -> dict[str, Any]:
    key = {"pk": {"S": f"used#{key_id}"}, "sk": {"S": "day"}}
    return dict(emulator.dynamodb.get_item(TableName=COUNTERS_TABLE, Key=key)["Item"])


def test_a_later_day_replaces_an_earlier_one_and_never_the_reverse(client: AwsCall, emulator: Emulator) -> None:
    store = DynamoDbLastUsedStore(client, COUNTERS_TABLE)
    for day, expires_at_s in (("2027-01-15", 3), ("2027-01-14", 2), ("2027-01-15", 9), ("2026-12-31", 1)):
        store.write("k1", day, expires_at_s)
    assert (stored(emulator, "k1")["last_used"], stored(emulator, "k1")["expires_at"]) == (
        {"S": "2027-01-15"},
        {"N": "3"},
    )
    store.write("k1", "2027-02-01", 4)
    assert (stored(emulator, "k1")["last_used"], stored(emulator, "k1")["expires_at"]) == (
        {"S": "2027-02-01"},
        {"N": "4"},
    )


def test_a_table_that_is_missing_is_an_error_of_the_store_and_none_of_the_caller(client: AwsCall) -> None:
    store, told = DynamoDbLastUsedStore(client, "nowhere"), list[Exception]()
    with pytest.raises(AwsError):
        store.write("k1", "2027-01-15", 1)
    LastUsed(store, told.append).note("k1", 1_800_000_000)
    assert [str(error) for error in told] == ["ResourceNotFoundException"]


def test_two_processes_note_one_day(client: AwsCall, emulator: Emulator) -> None:
    for _ in range(2):
        LastUsed(DynamoDbLastUsedStore(client, COUNTERS_TABLE)).note("k1", 1_800_000_000)
    assert stored(emulator, "k1")["last_used"] == {"S": "2027-01-15"}
    assert stored(emulator, "k1")["expires_at"] == {"N": str(1_800_000_000 + KEPT_S)}


def test_attributes_of_other_types_read_as_none() -> None:
    item: dict[str, dict[str, Any]] = {
        "text": {"S": "a"}, "number": {"N": "7"}, "fraction": {"N": "1.5"}, "flag": {"BOOL": True},
        "null": {"NULL": True}, "set": {"SS": ["a"]}, "list": {"L": []}, "map": {"M": {}}, "bytes": {"B": "AA=="},
    }  # fmt: skip
    expected: dict[str, str | int | None] = dict.fromkeys(item)
    assert read_attributes(item) == expected | {"text": "a", "number": 7}

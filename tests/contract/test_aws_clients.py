"""The slim client and boto3, under one suite: the same answers and the same error codes from the same service."""

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sallyport.adapters.aws_client import DYNAMODB, SECRETS_MANAGER, AwsCall, AwsClient, AwsError
from tests.support.aws import CONFIG_TABLE, LOCAL_AWS, Emulator

KEY = {"pk": {"S": "key#1"}, "sk": {"S": "key"}}
METHODS = {
    "GetItem": "get_item",
    "PutItem": "put_item",
    "UpdateItem": "update_item",
    "GetSecretValue": "get_secret_value",
}


class Boto3Call:
    def __init__(self, client: Any) -> None:
        self._client = client

    def call(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return dict(getattr(self._client, METHODS[operation])(**payload))
        except ClientError as error:
            raise AwsError(error.response["Error"]["Code"], error.response) from error


@pytest.fixture(params=["slim", "boto3"])
def kind(request: pytest.FixtureRequest, emulator: Emulator) -> str:
    emulator.empty_tables()
    return str(request.param)


@pytest.fixture
def dynamodb(kind: str, emulator: Emulator) -> AwsCall:
    if kind == "boto3":
        return Boto3Call(emulator.dynamodb)
    return AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL_DYNAMODB": emulator.url})


@pytest.fixture
def secrets(kind: str, emulator: Emulator) -> AwsCall:
    if kind == "boto3":
        return Boto3Call(emulator.secrets)
    return AwsClient(SECRETS_MANAGER, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url})


def test_an_item_comes_back_as_it_was_put(dynamodb: AwsCall) -> None:
    item = {**KEY, "name": {"S": 'a "quoted" ünicode'}, "count": {"N": "42"}}
    dynamodb.call("PutItem", {"TableName": CONFIG_TABLE, "Item": item})
    assert dynamodb.call("GetItem", {"TableName": CONFIG_TABLE, "Key": KEY})["Item"] == item


def test_a_missing_item_is_no_item(dynamodb: AwsCall) -> None:
    assert "Item" not in dynamodb.call("GetItem", {"TableName": CONFIG_TABLE, "Key": KEY})


def test_a_failed_condition_tells_the_item_as_it_is(dynamodb: AwsCall) -> None:
    dynamodb.call("PutItem", {"TableName": CONFIG_TABLE, "Item": {**KEY, "n": {"N": "1"}}})
    update = {
        "TableName": CONFIG_TABLE,
        "Key": KEY,
        "UpdateExpression": "SET n = n + :one",
        "ConditionExpression": "n > :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    with pytest.raises(AwsError) as caught:
        dynamodb.call("UpdateItem", update)
    assert caught.value.code == "ConditionalCheckFailedException"
    assert caught.value.answer["Item"]["n"] == {"N": "1"}


def test_a_missing_table_has_the_same_code(dynamodb: AwsCall) -> None:
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        dynamodb.call("GetItem", {"TableName": "nowhere", "Key": KEY})


def test_a_secret_is_read(secrets: AwsCall, emulator: Emulator, kind: str) -> None:
    emulator.secrets.create_secret(Name=f"stack/{kind}", SecretString="sk-upstream")
    assert secrets.call("GetSecretValue", {"SecretId": f"stack/{kind}"})["SecretString"] == "sk-upstream"


def test_a_missing_secret_has_the_same_code(secrets: AwsCall) -> None:
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        secrets.call("GetSecretValue", {"SecretId": "nowhere"})

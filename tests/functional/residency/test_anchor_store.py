"""Anchors in DynamoDB: added once, and never changed."""

import pytest

from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from sallyport.adapters.dynamodb_anchors import DynamoDbAnchorStore
from sallyport.observability.anchors import Anchor, AnchorError
from sallyport_cli.residency.anchors_table import read_anchors
from tests.functional.residency.conftest import ANCHORS_TABLE, Gateway
from tests.support.aws import LOCAL_AWS

DAY_S = 86_400
AT_S = 1_700_000_000
ANCHOR = Anchor("s-chat/0a", 12, "f" * 64, AT_S, "s-chat")


def test_an_anchor_is_stored_under_its_day_and_chain(gateway: Gateway) -> None:
    gateway.store().write(ANCHOR)
    (item,) = gateway.dynamodb.scan(TableName=ANCHORS_TABLE)["Items"]
    assert item == {
        "pk": {"S": "anchors#2023-11-14"},
        "sk": {"S": "s-chat/0a#000000000012"},
        "hash": {"S": "f" * 64},
        "function": {"S": "s-chat"},
        "at": {"N": str(AT_S)},
    }


def test_an_anchor_ends_with_its_retention(gateway: Gateway) -> None:
    gateway.store(retention_days=400).write(ANCHOR)
    (item,) = gateway.dynamodb.scan(TableName=ANCHORS_TABLE)["Items"]
    assert item["expires_at"] == {"N": str(AT_S + 400 * DAY_S)}


def test_the_same_anchor_twice_is_one(gateway: Gateway) -> None:
    gateway.store().write(ANCHOR)
    gateway.store().write(ANCHOR)
    assert gateway.dynamodb.scan(TableName=ANCHORS_TABLE)["Count"] == 1


def test_an_anchor_is_never_replaced(gateway: Gateway) -> None:
    gateway.store().write(ANCHOR)
    with pytest.raises(AnchorError, match="ConditionalCheckFailedException"):
        gateway.store().write(ANCHOR._replace(hash="0" * 64))
    (item,) = gateway.dynamodb.scan(TableName=ANCHORS_TABLE)["Items"]
    assert item["hash"] == {"S": "f" * 64}


def test_a_table_that_is_not_there_is_an_error_of_anchors(gateway: Gateway) -> None:
    with pytest.raises(AnchorError, match="ResourceNotFoundException"):
        DynamoDbAnchorStore(gateway.client, "NoTable").write(ANCHOR)


def test_an_emulator_that_is_not_there_is_an_error_of_anchors() -> None:
    client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    with pytest.raises(AnchorError, match="Unreachable"):
        DynamoDbAnchorStore(client, ANCHORS_TABLE).write(ANCHOR)


def test_anchors_of_days_are_read(gateway: Gateway) -> None:
    anchors = [ANCHOR._replace(seq=day + 1, at_s=AT_S + day * DAY_S) for day in range(4)]
    for anchor in anchors:
        gateway.store().write(anchor)
    found = read_anchors(gateway.dynamodb, ANCHORS_TABLE, AT_S + DAY_S, AT_S + 2 * DAY_S)
    assert found == anchors[1:3]

"""The time that is left of an invocation."""

import pytest

from sallyport.adapters.aws_client import DYNAMODB, AwsClient, AwsError
from sallyport.gateway.deadline import RESERVE_S, Deadline
from tests.support.aws import LOCAL_AWS
from tests.support.servers import Peer, ScriptedServer


def test_nothing_ends_before_an_invocation_has_begun() -> None:
    assert Deadline().left_s() == float("inf")


def test_what_is_left_runs_out_with_a_reserve_for_the_answer() -> None:
    now_s = 100.0
    deadline = Deadline(lambda: now_s)
    deadline.begin(10)
    assert deadline.left_s() == 10 - RESERVE_S
    now_s += 10
    assert deadline.left_s() == -RESERVE_S
    deadline.begin(10)
    assert deadline.left_s() == 10 - RESERVE_S


def test_a_call_waits_no_longer_than_is_left() -> None:
    with ScriptedServer(Peer.wait_closed) as server:
        client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": server.url}, left_s=lambda: 0.05)
        with pytest.raises(AwsError, match="Timeout"):
            client.call("GetItem", {})


def test_a_call_that_has_no_time_left_is_not_made() -> None:
    with ScriptedServer(Peer.wait_closed) as server:
        client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": server.url}, left_s=lambda: -1.0)
        with pytest.raises(AwsError, match="Timeout"):
            client.call("GetItem", {})
    assert server.connections == 0

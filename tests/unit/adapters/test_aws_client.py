"""The slim client where the service misbehaves."""

import json
from collections.abc import Callable

import pytest

from sallyport.adapters.aws_client import DYNAMODB, AwsClient, AwsError
from tests.support.aws import LOCAL_AWS
from tests.support.servers import Peer, Received, ScriptedServer, refused_url, serve

THROTTLED = json.dumps({"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException"}).encode()


def client_of(url: str) -> AwsClient:
    return AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": url})


def answers(*replies: Callable[[Peer], None]) -> Callable[[Received, Peer], None]:
    remaining = list(replies)
    return lambda _, peer: remaining.pop(0)(peer)


def test_one_connection_serves_many_calls() -> None:
    with ScriptedServer(serve(lambda _, peer: peer.answer(200, b"{}"), [])) as server:
        client = client_of(server.url)
        for _ in range(5):
            client.call("GetItem", {})
        assert server.connections == 1


def test_the_request_is_the_json_protocol() -> None:
    received: list[Received] = []
    with ScriptedServer(serve(lambda _, peer: peer.answer(200, b"{}"), received)) as server:
        client_of(server.url).call("GetItem", {"a": "é"})
    assert received[0].method == "POST"
    assert received[0].target == "/"
    assert received[0].headers["x-amz-target"] == "DynamoDB_20120810.GetItem"
    assert received[0].headers["content-type"] == "application/x-amz-json-1.0"
    assert json.loads(received[0].body) == {"a": "é"}


@pytest.mark.parametrize(
    "fault",
    [
        lambda peer: peer.answer(400, THROTTLED),
        lambda peer: peer.answer(500, b"<html>"),
        lambda peer: peer.close(),
        lambda peer: peer.send(b"garbage\r\n\r\n"),
    ],
    ids=["throttled", "5xx", "closed", "garbage"],
)
def test_a_passing_fault_is_tried_once_more(fault: Callable[[Peer], None]) -> None:
    reply = answers(fault, lambda peer: peer.answer(200, b'{"ok": 1}'))

    def script(peer: Peer) -> None:
        while peer.read() is not None:
            reply(Received("", "", {}, b""), peer)

    with ScriptedServer(script) as server:
        assert client_of(server.url).call("GetItem", {}) == {"ok": 1}


def test_a_lasting_fault_is_given_up_after_two_tries() -> None:
    received: list[Received] = []
    with ScriptedServer(serve(lambda _, peer: peer.answer(400, THROTTLED), received)) as server:
        with pytest.raises(AwsError, match="ThrottlingException"):
            client_of(server.url).call("GetItem", {})
    assert len(received) == 2


def test_a_refusal_is_not_tried_again() -> None:
    received: list[Received] = []
    denied = json.dumps({"__type": "x#AccessDeniedException"}).encode()
    with ScriptedServer(serve(lambda _, peer: peer.answer(400, denied), received)) as server:
        with pytest.raises(AwsError, match="AccessDeniedException"):
            client_of(server.url).call("GetItem", {})
    assert len(received) == 1


def test_an_answer_that_is_no_object_is_invalid() -> None:
    with ScriptedServer(serve(lambda _, peer: peer.answer(200, b"[]"), [])) as server:
        with pytest.raises(AwsError, match="InvalidAnswer"):
            client_of(server.url).call("GetItem", {})


def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(AwsError, match="Unreachable"):
        client_of(refused_url()).call("GetItem", {})


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_lambdas_own_variables_are_needed(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        AwsClient(DYNAMODB, {key: value for key, value in LOCAL_AWS.items() if key != name})

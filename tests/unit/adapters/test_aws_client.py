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


LOST = {
    "5xx": lambda peer: peer.answer(500, b"<html>"),
    "broken 5xx": lambda peer: peer.answer(502, b'{"__type": "x#Unheard"}'),
    "closed": lambda peer: peer.close(),
    "garbage": lambda peer: peer.send(b"garbage\r\n\r\n"),
    "no answer": lambda peer: peer.wait_closed(),
}


def scripted(*replies: Callable[[Peer], None]) -> Callable[[Peer], None]:
    reply = answers(*replies)

    def script(peer: Peer) -> None:
        while peer.read() is not None:
            reply(Received("", "", {}, b""), peer)

    return script


def hasty(url: str, total_s: float = 4.0) -> AwsClient:
    return AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": url}, timeout_s=0.5, total_s=total_s)


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_what_may_have_been_carried_out_is_repeated_only_where_it_may_be(fault: Callable[[Peer], None]) -> None:
    with ScriptedServer(scripted(fault, lambda peer: peer.answer(200, b'{"ok": 1}'))) as server:
        with pytest.raises(AwsError) as caught:
            hasty(server.url).call("UpdateItem", {}, repeatable=False)
        assert caught.value.is_uncertain
        assert hasty(server.url).call("UpdateItem", {}) == {"ok": 1}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_what_may_be_repeated_is(fault: Callable[[Peer], None]) -> None:
    with ScriptedServer(scripted(fault, lambda peer: peer.answer(200, b'{"ok": 1}'))) as server:
        assert hasty(server.url).call("UpdateItem", {}) == {"ok": 1}


def test_what_was_surely_not_carried_out_is_repeated_in_any_case() -> None:
    replies = [lambda peer: peer.answer(400, THROTTLED), lambda peer: peer.answer(200, b'{"ok": 1}')]
    with ScriptedServer(scripted(*replies)) as server:
        assert hasty(server.url).call("UpdateItem", {}, repeatable=False) == {"ok": 1}


def test_a_kept_connection_that_is_lost_is_not_made_anew_for_what_may_not_be_repeated() -> None:
    replies = [lambda peer: peer.answer(200, b"{}"), lambda peer: peer.close(), lambda peer: peer.answer(200, b"{}")]
    with ScriptedServer(scripted(*replies)) as server:
        client = hasty(server.url)
        client.call("UpdateItem", {}, repeatable=False)
        with pytest.raises(AwsError, match="Lost"):
            client.call("UpdateItem", {}, repeatable=False)
    assert server.connections == 1


def test_nobody_there_is_surely_not_carried_out() -> None:
    with pytest.raises(AwsError, match="Unreachable") as caught:
        client_of(refused_url()).call("UpdateItem", {}, repeatable=False)
    assert not caught.value.is_uncertain


def test_what_there_was_no_time_to_send_is_surely_not_carried_out() -> None:
    client = AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": refused_url()}, left_s=lambda: -0.1)
    with pytest.raises(AwsError, match="TimeoutUnsent") as caught:
        client.call("UpdateItem", {}, repeatable=False)
    assert not caught.value.is_uncertain


@pytest.mark.parametrize(("total_s", "tries"), [(4.0, 2), (0.3, 1)])
def test_both_tries_share_the_whole_time(total_s: float, tries: int) -> None:
    with ScriptedServer(Peer.wait_closed) as server:
        with pytest.raises(AwsError, match="Timeout"):
            hasty(server.url, total_s).call("UpdateItem", {})
        assert server.connections == tries


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_lambdas_own_variables_are_needed(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        AwsClient(DYNAMODB, {key: value for key, value in LOCAL_AWS.items() if key != name})

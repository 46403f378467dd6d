"""The authorizer: event in, API Gateway's answer out, with a real store and a real JWKS server on loopback."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from sallyport.gateway.assembly.authorizer import authorizer
from sallyport.gateway.entry import Entry
from sallyport.identity.api_keys import NewKey, mint
from sallyport.policy.parameters import ConfigurationError
from sallyport.runtime.errors import Fault, InvocationRefused, describe
from tests.functional.authorizer.door import bearer, decide, effect, make, put_key
from tests.support import issuer
from tests.support.aws import LOCAL_AWS, Emulator
from tests.support.servers import Received, ScriptedServer, refused_url, serve


@pytest.fixture
def key(emulator: Emulator) -> NewKey:
    emulator.empty_tables()
    return put_key(emulator)


@pytest.fixture
def jwks() -> Iterator[ScriptedServer]:
    with ScriptedServer(serve(lambda _, peer: peer.answer(200, issuer.document()), [])) as server:
        yield server


@pytest.mark.parametrize("header", ["Authorization", "authorization", "X-Api-Key", "api-key"])
def test_a_good_key_is_allowed_on_the_whole_api(emulator: Emulator, key: NewKey, header: str) -> None:
    value = f"Bearer {key.text}" if header.lower() == "authorization" else key.text
    answer = decide(make(emulator.url), {header: value})
    statement = answer["policyDocument"]["Statement"][0]
    assert statement["Effect"] == "Allow"
    assert statement["Resource"] == "arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/prod/*"
    assert answer["context"] == {
        "version": "1",
        "method": "api_key",
        "tenant": "acme",
        "subject": "demo",
        "key_id": key.key_id,
        "scopes": "chat models",
        "models": "",
        "residency": "us-east-1",
        "limits": "{}",
        "source_ip": "198.51.100.7",
    }


def test_a_key_s_own_limits_models_and_residency_are_in_the_context(emulator: Emulator, key: NewKey) -> None:
    limits = {"requests_per_minute": {"N": "7"}, "limits": {"S": "usd=20/month"}}
    own = put_key(emulator, models={"S": "gpt-a,gpt-b"}, residency={"S": "eu-west-1"}, **limits)
    context = decide(make(emulator.url), bearer(own.text))["context"]
    assert (context["models"], context["residency"]) == ("gpt-a,gpt-b", "eu-west-1")
    assert json.loads(context["limits"]) == {"requests_per_minute": 7, "rules": ["requests=7/1m", "usd=20/month"]}


def test_a_good_jwt_is_allowed(emulator: Emulator, jwks: ScriptedServer) -> None:
    door = make(emulator.url, jwks.url + "/jwks.json")
    for _ in range(3):
        context = decide(door, bearer(issuer.token()))["context"]
        assert (context["method"], context["tenant"], context["subject"]) == ("jwt", "acme", "alice")
        assert context["scopes"] == "chat embeddings models"
    assert jwks.connections == 1


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "no_credential"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "authorization_malformed"),
        ({"Authorization": "Bearer sp_not-a-key"}, "key_malformed"),
        ({"Authorization": f"Bearer {mint().text}"}, "key_unknown"),
        ({"Authorization": f"Bearer {mint().text}", "x-api-key": mint().text}, "several_credentials"),
        ({"Authorization": f"Bearer {issuer.token()}"}, "jwt_not_accepted"),
        ({"Authorization": f"Bearer {mint().text}", "authorization": f"Bearer {mint().text}"}, "several_credentials"),
        ({"x-tenant": "acme", "x-sallyport-tenant": "acme"}, "no_credential"),
    ],
)
def test_a_bad_credential_is_unauthorized_and_the_reason_is_in_the_log_alone(
    emulator: Emulator, capsys: pytest.CaptureFixture[str], headers: dict[str, str], reason: str
) -> None:
    with pytest.raises(InvocationRefused, match=r"^Unauthorized$"):
        decide(make(emulator.url), headers)
    line = json.loads(capsys.readouterr().out)  # one line, and one alone
    assert (line["decision"], line["reason"]) == ("unauthorized", reason)


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [({"revoked_at": {"N": "1"}}, "key_revoked"), ({"not_after": {"N": str(int(time.time()))}}, "key_expired")],
)
def test_a_key_out_of_force_is_unauthorized(
    emulator: Emulator, capsys: pytest.CaptureFixture[str], attribute: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvocationRefused):
        decide(make(emulator.url), bearer(put_key(emulator, **attribute).text))
    assert json.loads(capsys.readouterr().out)["reason"] == reason


@pytest.mark.parametrize("headers", [{}, bearer(mint().text), {"Authorization": "Basic x"}])
def test_a_denied_address_is_refused_before_its_credential_is_read(emulator: Emulator, headers: dict[str, str]) -> None:
    emulator.empty_tables()
    answer = decide(make(emulator.url), headers, source_ip="203.0.113.9")
    assert effect(answer) == "Deny"
    assert answer["context"] == {"code": "ip_denied", "message": "Requests from this address are not allowed."}


def test_a_mapped_denied_address_is_refused(emulator: Emulator, key: NewKey) -> None:
    assert effect(decide(make(emulator.url), bearer(key.text), source_ip="::ffff:203.0.113.9")) == "Deny"


def test_a_forwarded_address_counts_for_nothing(emulator: Emulator, key: NewKey) -> None:
    headers = {**bearer(key.text), "X-Forwarded-For": "198.51.100.7", "CF-Connecting-IP": "198.51.100.7"}
    assert effect(decide(make(emulator.url), headers, source_ip="203.0.113.9")) == "Deny"


def test_an_allow_list_lets_in_its_own_only(emulator: Emulator, key: NewKey) -> None:
    door = make(emulator.url, SALLYPORT_IP_ALLOW="198.51.100.0/24, 2001:db8::/32")
    assert effect(decide(door, bearer(key.text), source_ip="198.51.100.9")) == "Allow"
    assert effect(decide(door, bearer(key.text), source_ip="2001:db8::9")) == "Allow"
    assert effect(decide(door, bearer(key.text), source_ip="192.0.2.1")) == "Deny"


def test_a_store_that_is_down_lets_nobody_in_and_is_no_401(key: NewKey, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exception, match="no policy could be read") as caught:
        decide(make(refused_url()), bearer(key.text))
    assert not isinstance(caught.value, InvocationRefused)
    assert '"AuthorizerFailure": 1' in capsys.readouterr().out


def test_an_issuer_that_is_down_lets_nobody_in_and_is_no_401(emulator: Emulator) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any error but the 401's
        decide(make(emulator.url, refused_url() + "/jwks.json"), bearer(issuer.token()))
    assert not isinstance(caught.value, InvocationRefused)


@pytest.mark.parametrize("status", [301, 404, 500])
def test_a_jwks_answer_that_is_no_200_is_no_key_set(emulator: Emulator, status: int) -> None:
    received: list[Received] = []
    answer = serve(lambda _, peer: peer.answer(status, issuer.document(), location="http://127.0.0.1:1/"), received)
    with ScriptedServer(answer) as server, pytest.raises(Exception, match=f"status {status}"):
        decide(make(emulator.url, server.url), bearer(issuer.token()))
    assert len(received) == 1


def test_neither_key_nor_token_reaches_the_log(
    emulator: Emulator, key: NewKey, jwks: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    door, token = make(emulator.url, jwks.url), issuer.token()
    decide(door, bearer(key.text))
    decide(door, bearer(token))
    for text in (key.text + "0", mint().text, token[:-6]):
        with pytest.raises(InvocationRefused):
            decide(door, bearer(text))
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 5
    assert not any(part in out for part in (key.text[25:50], token.split(".")[1], token.split(".")[2][:20]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SALLYPORT_CONFIG_TABLE": ""}, "SALLYPORT_CONFIG_TABLE: must be set"),
        ({"SALLYPORT_IP_DENY": "203.0.113.1/24"}, "SALLYPORT_IP_DENY: '203.0.113.1/24'.*bits set after its prefix"),
        ({"SALLYPORT_IP_ALLOW": "everyone"}, "SALLYPORT_IP_ALLOW: 'everyone'"),
        ({"SALLYPORT_DEFAULT_RESIDENCY": ""}, "SALLYPORT_DEFAULT_RESIDENCY: must name regions"),
        ({"SALLYPORT_DEFAULT_RESIDENCY": "anywhere"}, "SALLYPORT_DEFAULT_RESIDENCY"),
        ({"SALLYPORT_API_KEYS": "disabled"}, "nobody could call"),
        ({"SALLYPORT_API_KEYS": "yes"}, "SALLYPORT_API_KEYS: must be one of enabled, disabled"),
        ({"SALLYPORT_JWT_ISSUER": "x", "SALLYPORT_JWT_AUDIENCES": ""}, "SALLYPORT_JWT_AUDIENCES"),
        ({"SALLYPORT_JWT_ISSUER": "x", "SALLYPORT_JWT_ALGORITHMS": "HS256"}, "SALLYPORT_JWT_ALGORITHMS"),
        ({"SALLYPORT_JWT_ISSUER": "x", "SALLYPORT_JWT_ALGORITHMS": "none"}, "SALLYPORT_JWT_ALGORITHMS"),
        ({"SALLYPORT_JWT_ISSUER": "x", "SALLYPORT_JWT_JWKS_URL": "http://example.com/"}, "SALLYPORT_JWT_JWKS_URL"),
        ({"AWS_REGION": ""}, "AWS_REGION"),
    ],
)
def test_a_broken_configuration_does_not_start_and_says_where(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make("http://127.0.0.1:1", **changes)


def test_a_function_that_cannot_start_tells_the_operator_why_and_rings_the_alarm(
    capsys: pytest.CaptureFixture[str],
) -> None:
    entry = Entry(authorizer)
    with pytest.raises(Fault, match="SALLYPORT_CONFIG_TABLE: must be set") as caught:
        entry.init({**LOCAL_AWS})
    assert describe(caught.value)["errorMessage"] == "SALLYPORT_CONFIG_TABLE: must be set"
    assert '"AuthorizerFailure": 1' in capsys.readouterr().out

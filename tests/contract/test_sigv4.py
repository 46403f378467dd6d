"""The hand-written signer against botocore's, on the same requests at the same time."""

import calendar
import time

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from sallyport.adapters.bedrock_signer import BedrockSigner
from sallyport.adapters.sigv4 import Credentials, Signer
from sallyport.providers.bedrock_models import model_path
from sallyport.providers.transport import UpstreamRequest

TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(TEXT, TEXT, st.just("") | TEXT, st.sampled_from(["us-east-1", "eu-central-1"]), TEXT, st.binary(max_size=200))
def test_a_signature_is_the_one_that_botocore_makes(
    key_id: str, secret: str, token: str, region: str, target: str, body: bytes
) -> None:
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": target}
    reference = AWSRequest("POST", "https://dynamodb.example.com/", headers=headers, data=body)
    SigV4Auth(BotocoreCredentials(key_id, secret, token or None), "dynamodb", region).add_auth(reference)
    signer = Signer(Credentials(key_id, secret, token), region, "dynamodb", "dynamodb.example.com")
    assert signer.sign(headers, body, now_of(reference))["authorization"] == reference.headers["Authorization"]


MODEL = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.:/_-]{0,80}", fullmatch=True) | st.sampled_from([
    "anthropic.claude-3-5-sonnet-20240620-v1:0",
    "eu.anthropic.claude-sonnet-4-20250514-v1:0",
    "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc123",
])  # fmt: skip
QUERY = st.lists(st.from_regex(r"[a-zA-Z0-9-]{1,5}=[a-zA-Z0-9%]{0,5}", fullmatch=True), max_size=4).map("&".join)


def now_of(reference: AWSRequest) -> int:
    return calendar.timegm(time.strptime(reference.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))


@given(MODEL, st.sampled_from(["converse", "converse-stream", "invoke"]), st.binary(max_size=100), TEXT)
def test_a_signature_for_bedrock_is_the_one_that_botocore_makes(
    model: str, action: str, body: bytes, token: str
) -> None:
    target, host = model_path(model, action), "bedrock-runtime.eu-central-1.amazonaws.com"
    headers = {"content-type": "application/json", "user-agent": "sallyport", "host": host}
    signed_headers = {"content-type": "application/json"}
    reference = AWSRequest("POST", f"https://{host}{target}", headers=signed_headers, data=body)
    SigV4Auth(BotocoreCredentials("id", "secret", token), "bedrock", "eu-central-1").add_auth(reference)
    environ = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": token}
    signer = BedrockSigner(environ, "eu-central-1", host, lambda: now_of(reference))
    signed = signer(UpstreamRequest("POST", target, headers, body))
    assert signed.headers["authorization"] == reference.headers["Authorization"]
    assert signed.headers["x-amz-security-token"] == token
    assert signed.headers["user-agent"] == "sallyport"
    assert signed.headers["host"] == host


@given(st.sampled_from(["GET", "POST", "DELETE"]), QUERY)
def test_a_signature_with_a_query_is_the_one_that_botocore_makes(method: str, query: str) -> None:
    target = f"/a%20b/c?{query}" if query else "/a%20b/c"
    reference = AWSRequest(method, f"https://host.example.com{target}", headers={}, data=b"")
    SigV4Auth(BotocoreCredentials("id", "secret"), "bedrock", "us-east-1").add_auth(reference)
    signer = Signer(Credentials("id", "secret", ""), "us-east-1", "bedrock", "host.example.com")
    signed = signer.sign({}, b"", now_of(reference), method=method, target=target)
    assert signed["authorization"] == reference.headers["Authorization"]


def test_a_signer_for_bedrock_needs_credentials() -> None:
    with pytest.raises(ValueError, match="AWS_ACCESS_KEY_ID"):
        BedrockSigner({}, "us-east-1", "host")


def test_the_signing_key_changes_with_the_day() -> None:
    signer = Signer(Credentials("id", "secret", ""), "us-east-1", "dynamodb", "host")
    fresh = Signer(Credentials("id", "secret", ""), "us-east-1", "dynamodb", "host")
    signer.sign({}, b"", 0)
    assert signer.sign({}, b"", 86_400) == fresh.sign({}, b"", 86_400)


def test_credentials_do_not_show_themselves() -> None:
    assert "secret" not in repr(Credentials("id", "secret", "token"))

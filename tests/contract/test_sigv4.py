"""The hand-written signer against botocore's, on the same requests at the same time."""

import calendar
import time

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from sallyport.adapters.sigv4 import Credentials, Signer

TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(TEXT, TEXT, st.just("") | TEXT, st.sampled_from(["us-east-1", "eu-central-1"]), TEXT, st.binary(max_size=200))
def test_a_signature_is_the_one_that_botocore_makes(
    key_id: str, secret: str, token: str, region: str, target: str, body: bytes
) -> None:
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": target}
    reference = AWSRequest("POST", "https://dynamodb.example.com/", headers=headers, data=body)
    SigV4Auth(BotocoreCredentials(key_id, secret, token or None), "dynamodb", region).add_auth(reference)
    now_s = calendar.timegm(time.strptime(reference.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    signer = Signer(Credentials(key_id, secret, token), region, "dynamodb", "dynamodb.example.com")
    assert signer.sign(headers, body, now_s)["authorization"] == reference.headers["Authorization"]


def test_the_signing_key_changes_with_the_day() -> None:
    signer = Signer(Credentials("id", "secret", ""), "us-east-1", "dynamodb", "host")
    fresh = Signer(Credentials("id", "secret", ""), "us-east-1", "dynamodb", "host")
    signer.sign({}, b"", 0)
    assert signer.sign({}, b"", 86_400) == fresh.sign({}, b"", 86_400)


def test_credentials_do_not_show_themselves() -> None:
    assert "secret" not in repr(Credentials("id", "secret", "token"))

"""The authorizer under test: its environment, its keys, its policy, and a clock that the test turns."""

import time
from typing import Any

from sallyport.gateway.assembly.authorizer import authorizer
from sallyport.gateway.authorize import Authorizer
from sallyport.identity.api_keys import NewKey, mint
from sallyport_cli.policy.documents import read_document
from sallyport_cli.policy.table import PolicyTable
from tests.support import issuer
from tests.support.aws import CONFIG_TABLE, COUNTERS_TABLE, LOCAL_AWS, Emulator
from tests.support.events import Context, authorizer_event


class Clock:
    """Wall-clock time, as the test has it."""

    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s


def environ(emulator_url: str, jwks_url: str = "", **changes: str) -> dict[str, str]:
    """Give the function's environment; with a `jwks_url` tokens of the tests' issuer are accepted."""
    return {
        **LOCAL_AWS,
        "AWS_ENDPOINT_URL": emulator_url,
        "AWS_SAM_LOCAL": "true",
        "SALLYPORT_STACK": "test",
        "SALLYPORT_CONFIG_TABLE": CONFIG_TABLE,
        "SALLYPORT_COUNTERS_TABLE": COUNTERS_TABLE,
        "SALLYPORT_API_KEYS": "enabled",
        "SALLYPORT_JWT_ISSUER": issuer.ISSUER if jwks_url else "",
        "SALLYPORT_JWT_AUDIENCES": issuer.AUDIENCE,
        "SALLYPORT_JWT_ALGORITHMS": "RS256,ES256",
        "SALLYPORT_JWT_JWKS_URL": jwks_url,
        "SALLYPORT_JWT_TENANT_CLAIM": "tenant",
        "SALLYPORT_JWT_SUBJECT_CLAIM": "sub",
        "SALLYPORT_JWT_SCOPES_CLAIM": "scope",
        "SALLYPORT_DEFAULT_SCOPES": "chat embeddings models",
        "SALLYPORT_IP_ALLOW": "",
        "SALLYPORT_IP_DENY": "203.0.113.0/24",
        "SALLYPORT_DEFAULT_RESIDENCY": "us-east-1",
        "SALLYPORT_LOG_LEVEL": "INFO",
        **changes,
    }


def make(emulator_url: str, jwks_url: str = "", *, now: Any = time.time, **changes: str) -> Authorizer:
    """Make the authorizer."""
    return authorizer(environ(emulator_url, jwks_url, **changes), now)


def put_key(emulator: Emulator, **attributes: Any) -> NewKey:
    """Store a new key of the tenant acme; attributes in DynamoDB's form replace or add."""
    key = mint()
    item = {
        "pk": {"S": f"key#{key.key_id}"},
        "sk": {"S": "key"},
        "secret_sha256": {"S": key.secret_sha256},
        "tenant": {"S": "acme"},
        "subject": {"S": "demo"},
        "scopes": {"S": "chat models"},
        **attributes,
    }
    emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item=item)
    return key


def change_key(emulator: Emulator, key: NewKey, name: str, value: dict[str, str]) -> None:
    """Set one attribute of a stored key."""
    emulator.dynamodb.update_item(
        TableName=CONFIG_TABLE,
        Key={"pk": {"S": f"key#{key.key_id}"}, "sk": {"S": "key"}},
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": name},
        ExpressionAttributeValues={":value": value},
    )


def apply_policy(emulator: Emulator, text: str) -> None:
    """Put a document into force, as `sallyport policy apply` does."""
    document = read_document(text, "policy.yaml", local=True)
    PolicyTable(emulator.dynamodb, CONFIG_TABLE).apply(document, by="test", note="")


def decide(door: Authorizer, headers: dict[str, str] | None = None, **options: str) -> dict[str, Any]:
    """Ask the authorizer, and let it do what it does after its response."""
    context = Context()
    try:
        return door(authorizer_event(headers, **options), context)
    finally:
        context.finish()


def bearer(text: str) -> dict[str, str]:
    """Give the header that carries a credential."""
    return {"Authorization": f"Bearer {text}"}


def effect(answer: dict[str, Any]) -> str:
    """Give `Allow` or `Deny`."""
    return str(answer["policyDocument"]["Statement"][0]["Effect"])


def code(answer: dict[str, Any]) -> str:
    """Give the code of a 403."""
    assert effect(answer) == "Deny"
    return str(answer["context"]["code"])

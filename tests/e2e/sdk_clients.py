"""What tests with real SDKs share: gateways before an echo of each provider, and keys with attributes of their own."""

from typing import Any

import boto3

from sallyport.identity.api_keys import mint
from tests.support.aws import CONFIG_TABLE
from tests.support.local_stack import LocalStack

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="  # a PNG of one
)
MODELS = {"openai": "echo", "anthropic": "claude-sonnet", "bedrock": "anthropic.claude-sonnet-v1:0"}
"""Of each provider one that its echo answers for."""


def provider_stack(provider: str) -> LocalStack:
    """Give the template with the provider's echo, generous limits and a patience that a test can wait out."""
    given = (
        f"UpstreamProvider={provider}",
        "RequestsPerMinute=10000",
        "UpstreamIdleTimeoutSeconds=2",
        "UpstreamRetries=0",
    )
    return LocalStack(*(part for parameter in given for part in ("--parameter", parameter)))


def key_with(stack: LocalStack, region: str = "us-east-1", **attributes: Any) -> str:
    """Put a key into the embedded table, as `sallyport keys create` does."""
    key = mint()
    item: dict[str, Any] = {
        "pk": f"key#{key.key_id}",
        "sk": "key",
        "secret_sha256": key.secret_sha256,
        "tenant": "acme",
        "subject": "sdk",
        "scopes": "chat embeddings models apps",
        **attributes,
    }
    resource = boto3.resource("dynamodb", endpoint_url=stack.emulator_url, region_name=region)
    resource.Table(CONFIG_TABLE).put_item(Item=item)
    return key.text

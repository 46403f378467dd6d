"""Fills an emulator with what a deploy would make: the template's tables and the upstream's secret."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from sallyport_cli.local.stack import Stack
from sallyport_cli.local.template_models import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

SECRET_VARIABLE: Final = "SALLYPORT_UPSTREAM_SECRET"  # noqa: S105 - the name of a variable


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine and no other."""
    host = ""
    try:
        host = urlsplit(url).hostname or ""
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def emulator_clients(endpoint_url: str, region: str) -> tuple[DynamoDBClient, SecretsManagerClient]:
    """Clients of an emulator on this machine; refuses any other, because data is written through them."""
    return emulator_client("dynamodb", endpoint_url, region), emulator_client("secretsmanager", endpoint_url, region)


@lru_cache(maxsize=16)
def emulator_client(service: str, endpoint_url: str, region: str) -> Any:
    """A client of one service of an emulator on this machine, made once. Raises `ValueError` for any other endpoint."""
    if not is_loopback(endpoint_url):
        raise ValueError(f"{endpoint_url} isn't on this machine")
    import boto3  # noqa: PLC0415 - half a second, which overlaps the emulator's own start
    import botocore.session  # noqa: PLC0415 - the same
    from botocore.config import Config  # noqa: PLC0415 - the same

    # The user's AWS profile is none of an emulator's business, least of all one that can't be found.
    no_profile = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    return boto3.session.Session(botocore_session=no_profile).client(
        service,  # type: ignore[call-overload]
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - an emulator takes any
        config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
    )


def create_tables(client: DynamoDBClient, stack: Stack) -> None:
    """Makes the template's tables, leaving those that are there already."""
    for table in stack.tables.values():
        try:
            client.create_table(**_create_table_request(table))
        except client.exceptions.ResourceInUseException:
            continue
        if table.TimeToLiveSpecification:
            name = str(table.TableName)
            client.update_time_to_live(TableName=name, TimeToLiveSpecification=_ttl(table))


def create_secret(client: SecretsManagerClient, name: str, value: str) -> None:
    """Stores the upstream's key under `name`, replacing what was there."""
    try:
        client.create_secret(Name=name, SecretString=value)
    except client.exceptions.ResourceExistsException:
        client.put_secret_value(SecretId=name, SecretString=value)


def secret_names(stack: Stack) -> set[str]:
    """The names under which the functions look for an upstream's key."""
    names = {function.environment.get(SECRET_VARIABLE, "") for function in stack.functions.values()}
    return names - {""}


def _create_table_request(table: Table) -> dict[str, Any]:
    request: dict[str, Any] = {
        "TableName": table.TableName,
        "AttributeDefinitions": table.AttributeDefinitions,
        "KeySchema": table.KeySchema,
        "BillingMode": "PAY_PER_REQUEST",
    }
    if table.GlobalSecondaryIndexes:
        request["GlobalSecondaryIndexes"] = table.GlobalSecondaryIndexes
    return request


def _ttl(table: Table) -> Any:
    return table.TimeToLiveSpecification

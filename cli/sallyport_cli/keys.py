"""`sallyport keys`: API keys of a deployed stack, or of an emulator."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from sallyport_cli.key_items import ALL_SCOPES, KeyGrant, create_key
from sallyport_cli.target import Target, target_options

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_UNIT_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")


@click.group()
def keys() -> None:
    """API keys."""


@keys.command()
@click.option("--tenant", required=True, help="Whom the key's use is charged to.")
@click.option("--name", required=True, help="What the key is for; shown, never a secret.")
@click.option("--subject", default="", help="Who uses it.  [default: the name]")
@click.option("--scopes", default=ALL_SCOPES, show_default=True)
@click.option("--models", default="", metavar="A,B", help="The models it may use.  [default: all]")
@click.option("--residency", default="", metavar="R1,R2", help="Regions its data may reach.  [default: the stack's]")
@click.option("--requests-per-minute", type=click.IntRange(1, 1_000_000), help="[default: the stack's]")
@click.option("--expires-in", metavar="90d", help="Days (d), hours (h) or minutes (m).  [default: never]")
@target_options
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def create(
    *,
    tenant: str,
    name: str,
    subject: str,
    scopes: str,
    models: str,
    residency: str,
    requests_per_minute: int | None,
    expires_in: str | None,
    table: str | None,
    stack: str | None,
    region: str | None,
    endpoint_url: str | None,
    output: str,
) -> None:
    """Issue a key. It is shown once: only a hash of it is stored."""
    grant = KeyGrant(
        tenant=_checked("tenant", tenant),
        name=_checked("name", name),
        subject=_checked("subject", subject) if subject else "",
        scopes=_read_scopes(scopes),
        models=_items(models),
        residency=_read_regions(residency),
        requests_per_minute=requests_per_minute,
        not_after=_expiry(expires_in),
    )
    target = Target(stack, table, region, endpoint_url)
    config_table = target.config_table()
    _show(_create(target.client("dynamodb"), config_table, grant), grant, output)


def _create(client: DynamoDBClient, table: str, grant: KeyGrant) -> dict[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy

    try:
        key = create_key(client, table, grant)
    except (BotoCoreError, ClientError) as error:
        raise click.ClickException(f"table {table}: {error}") from None
    return {"key_id": key.key_id, "key": key.text, "tenant": grant.tenant, "name": grant.name}


def _show(made: dict[str, Any], grant: KeyGrant, output: str) -> None:
    expires = datetime.fromtimestamp(grant.not_after, UTC).isoformat() if grant.not_after else None
    if output == "json":
        print(json.dumps({**made, "expires": expires}))
        return
    print(made["key"])
    click.echo(f"key {made['key_id']} of {grant.tenant}, expires: {expires or 'never'}. Not shown again.", err=True)


def _checked(option: str, value: str) -> str:
    if not _NAME.fullmatch(value):
        raise click.BadParameter(f"{value!r} isn't {_NAME.pattern}", param_hint=f"--{option}")
    return value


def _read_scopes(text: str) -> str:
    unknown = sorted(set(text.split()) - set(ALL_SCOPES.split()))
    if unknown or not text.split():
        raise click.BadParameter(f"{' '.join(unknown) or 'nothing'}: scopes are {ALL_SCOPES}", param_hint="--scopes")
    return " ".join(text.split())


def _read_regions(text: str) -> list[str]:
    regions = _items(text)
    for region in regions:
        if not _REGION.fullmatch(region):
            raise click.BadParameter(f"{region!r} isn't an AWS region", param_hint="--residency")
    return regions


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _expiry(text: str | None) -> int | None:
    """Epoch seconds of the end of `90d`, `12h` or `30m` from now."""
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,5})([mhd])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} isn't like 90d, 12h or 30m", param_hint="--expires-in")
    return int(time.time()) + int(match.group(1)) * _UNIT_SECONDS[match.group(2)]

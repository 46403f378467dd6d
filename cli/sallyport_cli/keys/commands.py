"""The commands of `sallyport keys`."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from sallyport.policy.limit_rules import LimitRule
from sallyport_cli.caller import caller_name
from sallyport_cli.key_items import DEFAULT_SCOPES, KeyGrant
from sallyport_cli.keys import options
from sallyport_cli.keys.options import Expiry, key_argument, on_target, reads
from sallyport_cli.keys.output import print_json, print_key, print_new_key, print_table
from sallyport_cli.keys.rotation import Rotation, rotate_key
from sallyport_cli.keys.stored import StoredKey, iso, moment
from sallyport_cli.keys.table import KeyTable
from sallyport_cli.keys.uses import last_used_days
from sallyport_cli.target import Target


@click.group()
def keys() -> None:
    """API keys. KEY is a key's id, `sp_` and its id, or its whole text, of which only the id is used."""


@keys.command()
@click.option("--tenant", required=True, callback=reads(options.read_tenant), help="Whom its use is charged to.")
@click.option(
    "--name", required=True, callback=reads(options.read_name), help="What the key is for; shown, never a secret."
)
@click.option("--subject", default="", callback=reads(options.read_name), help="Who uses it.  [default: the name]")
@click.option("--scopes", default=DEFAULT_SCOPES, show_default=True, callback=reads(options.read_scopes))
@click.option(
    "--models",
    default="",
    metavar="A,B",
    callback=reads(options.read_models),
    help="Models it may use.  [default: the tenant's]",
)
@click.option(
    "--residency",
    default="",
    metavar="R1,R2",
    callback=reads(options.read_residency),
    help="Regions its data may reach.  [default: the tenant's or the stack's]",
)
@click.option("--requests-per-minute", type=click.IntRange(1, 1_000_000), help="[default: the policy's or the stack's]")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="UNIT=AMOUNT/WINDOW",
    callback=options.read_limits,
    help="Its own limit, such as tokens=50000/1m, usd=20/month, concurrent=4; several times.  [default: as above]",
)
@click.option(
    "--allow",
    default="",
    metavar="NETWORK,NETWORK",
    callback=reads(options.read_networks),
    help="Networks it may be used from.  [default: any]",
)
@click.option(
    "--expires-in",
    metavar="90d|DATE",
    callback=reads(options.read_expiry),
    help="Days (d), hours (h), minutes (m), or a date: refused from 00:00 UTC of that day on.  [default: never]",
)
@on_target
def create(
    *,
    target: Target,
    tenant: str,
    name: str,
    subject: str,
    scopes: str,
    models: Sequence[str],
    residency: Sequence[str],
    requests_per_minute: int | None,
    limits: Sequence[LimitRule],
    allow: Sequence[str],
    expires_in: Expiry | None,
    output: str,
) -> None:
    """Issue a key. It is shown once: only a hash of it is stored."""
    requests_per_minute, texts = options.stored_limits(requests_per_minute, limits)
    table, now_s = _table(target), int(time.time())
    grant = KeyGrant(
        tenant=tenant,
        name=name,
        subject=subject,
        scopes=scopes,
        models=models,
        residency=residency,
        requests_per_minute=requests_per_minute,
        limits=texts,
        not_after=expires_in(now_s) if expires_in else None,
        allow=allow,
        created_by=caller_name(target),
    )
    key, item = table.create(grant, now_s)
    print_new_key(key.text, StoredKey.of(item), now_s, output)
    if any(rule.unit == "usd" for rule in limits):
        told = "money is counted by the prices in the policy's models; one without a price is refused to this key"
        click.echo(f"warning: {told}", err=True)


@keys.command("list")
@click.option("--tenant", callback=reads(options.read_tenant), help="Of this tenant alone.")
@click.option("--all", "ended_too", is_flag=True, help="Those too that are revoked or expired.")
@on_target
def list_keys(*, target: Target, tenant: str | None, ended_too: bool, output: str) -> None:
    """List keys. Their texts aren't stored and can't be listed."""
    table, now_s = _table(target), time.time()
    found = [StoredKey.of(item) for item in table.items(tenant)]
    shown = [key for key in found if ended_too or key.state(now_s) not in {"revoked", "expired"}]
    shown.sort(key=lambda key: (key.text("tenant"), key.text("name"), key.number("created_at") or 0, key.key_id))
    days = last_used_days(target, table.client, [key.key_id for key in shown]) if shown else {}
    shown = [StoredKey(key.key_id, key.attributes, days.get(key.key_id)) for key in shown]
    if output == "json":
        print_json([key.as_json(now_s) for key in shown])
    else:
        print_table(shown, now_s)
    if len(shown) < len(found):
        click.echo(f"{len(found) - len(shown)} more, revoked or expired: --all lists them too", err=True)


@keys.command()
@key_argument(several=False)
@on_target
def show(*, target: Target, key_ids: Sequence[str], output: str) -> None:
    """Show all that is stored of one key, but for its hash."""
    table = _table(target)
    item = table.read(key_ids[0])
    if item is None:
        raise click.ClickException(f"no such key: {key_ids[0]}")
    stored, now_s = StoredKey.of(item, last_used_days(target, table.client, key_ids)), time.time()
    if output == "json":
        print_json(stored.as_json(now_s))
    else:
        print_key(stored, now_s)


@keys.command()
@key_argument(several=True)
@on_target
def revoke(*, target: Target, key_ids: Sequence[str], output: str) -> None:
    """Revoke keys for good: in force within 15 seconds, or what the stack's KeyRevocationSeconds says."""
    table, by, revoked = _table(target), caller_name(target), []
    unknown = []
    for key_id in key_ids:
        found = table.revoke(key_id, by, int(time.time()))
        if found is None:
            unknown.append(key_id)
            continue
        stored = StoredKey.of(found[0])
        revoked.append({**stored.as_json(time.time()), "revoked_before": not found[1]})
        if output == "text":
            _tell_revoked(stored, revoked_now=found[1])
    if output == "json":
        print_json(revoked)
    if unknown:
        raise click.ClickException(f"no such key: {', '.join(unknown)}")


@keys.command()
@key_argument(several=False)
@click.option(
    "--grace",
    default="24h",
    show_default=True,
    metavar="24h|0",
    callback=reads(options.read_grace),
    help="How long the old key works beside the new one. 0 ends it at once.",
)
@click.option(
    "--expires-in",
    metavar="90d|DATE",
    callback=reads(options.read_expiry),
    help="Of the new key.  [default: when the old one would have]",
)
@on_target
def rotate(*, target: Target, key_ids: Sequence[str], grace: int, expires_in: Expiry | None, output: str) -> None:
    """Replace a key by a new one with the same grant. The new key is shown once."""
    now_s = int(time.time())
    rotation = Rotation(key_ids[0], grace, expires_in(now_s) if expires_in else None, caller_name(target))
    key, successor, ends_at_s = rotate_key(_table(target), rotation, now_s)
    stored, replaced = StoredKey.of(successor), {"key_id": key_ids[0], "expires": iso(ends_at_s)}
    print_new_key(key.text, stored, now_s, output, replaces=replaced)
    if output == "text":
        click.echo(f"key {key_ids[0]}, which it replaces, works until {moment(ends_at_s)}.", err=True)


def _table(target: Target) -> KeyTable:
    name = target.config_table()
    return KeyTable(target.client("dynamodb"), name)


def _tell_revoked(stored: StoredKey, *, revoked_now: bool) -> None:
    key = f"key {stored.key_id} of {stored.text('tenant')}, {stored.text('name')}"
    if revoked_now:
        print(f"{key}: revoked, in force within 15 seconds (or the stack's KeyRevocationSeconds)")
    else:
        print(f"{key}: revoked already since {moment(stored.number('revoked_at') or 0)}")
    if stored.text("rotated_to"):
        click.echo(f"key {stored.text('rotated_to')}, which replaced it, isn't revoked by this", err=True)

"""What the commands take: read strictly, and never repeated where it may hold a secret."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import click

from sallyport.access.networks import NetworkSet
from sallyport.identity.api_keys import MAX_MODELS_LENGTH, MAX_RESIDENCY_LENGTH, parse
from sallyport.identity.principal import NO_MODEL, is_tenant, parse_regions
from sallyport.policy.limit_rules import LimitRule
from sallyport.policy.limit_texts import MINUTE, check_key_limits, limit_text, parse_limit, per_minute
from sallyport.policy.rules import SCOPES
from sallyport_cli.target import Target, target_options

MAX_MODELS: Final = 100
MAX_NETWORKS: Final = 50
_UNIT_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([1-9]\d{0,5})([mhd])", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
_MODEL = re.compile(r"[!-+\--~]{1,200}")
"""Printable ASCII but for the comma."""
_KEY_ID = re.compile(r"(?:sp_)?([0-9A-Za-z]{16})")


type Expiry = Callable[[int], int]
"""Gives the end of a key that is made at a time; both are epoch seconds."""


def on_target(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say where, given to the command as `target`, and `--output`."""

    @target_options
    @click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
    @functools.wraps(command)
    def run(
        *, stack: str | None, table: str | None, region: str | None, endpoint_url: str | None, **options: Any
    ) -> None:
        command(target=Target(stack, table, region, endpoint_url), **options)

    return run


def reads[T](read: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """An option's callback that reads its text; `ValueError` becomes click's own error, which names the option."""

    def callback(_context: click.Context, _parameter: click.Parameter, text: str | None) -> T | None:
        try:
            return None if text is None else read(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def key_argument(*, several: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The argument KEY as `key_ids`. It takes any number itself: click's own error would show what is too many."""

    def callback(_context: click.Context, _parameter: click.Parameter, texts: Sequence[str]) -> tuple[str, ...]:
        if len(texts) > 1 and not several:
            raise click.BadParameter("one key at a time")
        try:
            return tuple(dict.fromkeys(read_key_id(text) for text in texts))
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    metavar = "KEY..." if several else "KEY"
    return click.argument("key_ids", metavar=metavar, nargs=-1, required=True, callback=callback)


def read_key_id(text: str) -> str:
    """The id of a key that is named by its id, by `sp_<id>`, or by its whole text. Raises `ValueError`."""
    match = _KEY_ID.fullmatch(text.strip())
    if match is not None:
        return match[1]
    parts = parse(text.strip())
    if parts is None:
        raise ValueError("neither a key's id, nor sp_ and its id, nor a whole key")
    return parts.key_id


def read_tenant(text: str) -> str:
    """A tenant, as both doors take it. Raises `ValueError`."""
    if not is_tenant(text):
        raise ValueError(f"{text!r}: a tenant is 1 to 64 letters, digits, dots, dashes and underscores")
    return text


def read_name(text: str) -> str:
    """A name of a key, or its subject. Raises `ValueError`."""
    if text and not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} isn't {_NAME.pattern}")
    return text


def read_scopes(text: str) -> str:
    """Known scopes, separated by spaces. Raises `ValueError`."""
    unknown = sorted(set(text.split()) - set(SCOPES))
    if unknown or not text.split():
        raise ValueError(f"{' '.join(unknown) or 'nothing'}: scopes are {' '.join(SCOPES)}")
    return " ".join(dict.fromkeys(text.split()))


def read_models(text: str) -> list[str]:
    """Names of models. Raises `ValueError`, also where they wouldn't fit into what the first door tells the second."""
    models = _items(text)
    for model in models:
        if not _MODEL.fullmatch(model) or model == NO_MODEL:
            raise ValueError(f"{model!r} can't be the name of a model")
    if len(models) > MAX_MODELS or len(",".join(models)) > MAX_MODELS_LENGTH:
        raise ValueError(f"at most {MAX_MODELS} models, and {MAX_MODELS_LENGTH:,} characters in all")
    return models


def read_residency(text: str) -> list[str]:
    """Regions. Raises `ValueError`."""
    regions = _items(text)
    for region in regions:
        try:
            parse_regions(region)
        except ValueError:
            raise ValueError(f"{region!r} isn't an AWS region") from None
    if len(",".join(regions)) > MAX_RESIDENCY_LENGTH:
        raise ValueError(f"at most {MAX_RESIDENCY_LENGTH:,} characters in all")
    return regions


def read_networks(text: str) -> list[str]:
    """Networks, as the first door takes them. Raises `ValueError` that names the one at fault."""
    networks = _items(text)
    NetworkSet(networks)
    if len(networks) > MAX_NETWORKS:
        raise ValueError(f"at most {MAX_NETWORKS} networks")
    return networks


def read_limits(_context: click.Context, _parameter: click.Parameter, texts: Sequence[str]) -> tuple[LimitRule, ...]:
    """The callback of an option that gives one limit each time, `UNIT=AMOUNT/WINDOW`."""
    rules = []
    for text in texts:
        try:
            rules.append(parse_limit(text))
        except ValueError as error:
            raise click.BadParameter(f"{text!r}: {error}") from None
    return tuple(rules)


def stored_limits(requests_per_minute: int | None, limits: Sequence[LimitRule]) -> tuple[int | None, list[str]]:
    """Requests per minute, which have an attribute of their own, and the texts of the other limits.

    Raises click's exception where they don't go together.
    """
    rates = [] if requests_per_minute is None else [per_minute(requests_per_minute)]
    try:
        rules = check_key_limits((*rates, *limits))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--limit'") from None
    rate = next((rule.limit for rule in rules if (rule.unit, rule.window) == ("requests", MINUTE)), None)
    return rate, [limit_text(rule) for rule in rules if (rule.unit, rule.window) != ("requests", MINUTE)]


def read_expiry(text: str) -> Expiry:
    """The end of `90d`, `12h`, `30m` from a time, or 00:00 UTC of a day to come. Raises `ValueError`."""
    if _DATE.fullmatch(text):
        midnight = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC).timestamp()
        if midnight <= time.time():
            raise ValueError(f"{text} has begun already")
        return lambda _: int(midnight)
    seconds = _duration(text, "90d, 12h, 30m or 2027-01-31")
    return lambda now_s: now_s + seconds


def read_grace(text: str) -> int:
    """Seconds of `24h`, `30m`, `7d` or `0`. Raises `ValueError`."""
    return 0 if text == "0" else _duration(text, "24h, 30m, 7d or 0")


def _duration(text: str, examples: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} isn't like {examples}")
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def _items(text: str) -> list[str]:
    return list(dict.fromkeys(item.strip() for item in text.split(",") if item.strip()))

"""What is limited, as the effective policy says it: rules, windows, models and their prices. Plain data.

Money is counted in whole nanodollars (a thousand millionth of a US dollar), prices are whole picodollars per token:
1 USD per million tokens is 1,000,000 of these.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from sallyport.policy.canary_rules import CanaryRules
from sallyport.policy.upstream_rules import AppRules, Target, UpstreamRules
from sallyport.policy.verification_rules import VerificationRules

NANODOLLARS = 1_000_000_000
"""In a US dollar."""

UNITS = ("requests", "tokens", "input_tokens", "output_tokens", "usd", "concurrent")
SETTLED_UNITS = frozenset({"tokens", "input_tokens", "output_tokens", "usd"})
"""Reserved before a request is forwarded, settled from its usage afterwards."""

LIMIT_SCOPES = ("key", "subject", "ip", "tenant", "model", "route", "global")
"""What is counted apart, the narrowest first."""

CALENDARS = ("day", "month")
MIN_WINDOW_S = 1
MAX_WINDOW_S = 31 * 86_400
MAX_CONCURRENT = 50
MAX_RULES_PER_SCOPE = 20
MAX_KEY_RULES = 10

STORE_FAILURE = ("allow", "deny")
ROUTES = ("chat_completions", "responses", "embeddings", "messages", "count_tokens", "apps")
"""What a rule's `match.routes` may name."""


class Window(NamedTuple):
    """A sliding window of `length_s` seconds, or with a `calendar` the current day or month in UTC."""

    length_s: int = 0
    calendar: str = ""

    @property
    def text(self) -> str:
        """Give it as a policy document may write it: 90s, 1m, 2h, 30d, day, month."""
        if self.calendar:
            return self.calendar
        for unit, seconds in (("d", 86_400), ("h", 3600), ("m", 60)):
            if self.length_s and self.length_s % seconds == 0:
                return f"{self.length_s // seconds}{unit}"
        return f"{self.length_s}s"


NO_WINDOW = Window()
"""Of a concurrency limit, which counts what is under way."""


class LimitMatch(NamedTuple):
    """Which requests a rule counts; an empty tuple: all. `scopes` are the credential's, one of them is enough."""

    routes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


EVERYTHING = LimitMatch()


class LimitRule(NamedTuple):
    """At most `limit` of `unit` in any `window`, for each member of `scope`.

    `limit` is in nanodollars where the unit is usd. `name` is unique in what is in force for one caller: a tenant's or
    a key's rule of the same name replaces the general one. `on_store_failure`: `allow` counts in memory meanwhile,
    `deny` refuses. `enforce_cap`: what was reserved for the answer goes upstream as its cap.
    """

    name: str
    scope: tuple[str, ...]
    unit: str
    limit: int
    window: Window
    match: LimitMatch = EVERYTHING
    on_store_failure: str = "allow"
    enforce_cap: bool = False

    @property
    def counter(self) -> str:
        """Give what the rule's counters are called in the store, the same whatever the limit is."""
        return counter_id(self.name, self.unit, self.window)


class Price(NamedTuple):
    """Picodollars per token."""

    input: int
    output: int
    cached_input: int


class ModelRules(NamedTuple):
    """One model on offer. None for `max_output_tokens`: the stack's `MaxOutputTokens`.

    `targets` are where it is, the most wanted first; none: at the stack parameters' upstream, under its own name.
    """

    max_output_tokens: int | None = None
    price: Price | None = None
    targets: tuple[Target, ...] = ()


class RouterRules(NamedTuple):
    """What a route goes by. `version` is the applied policy's, 0 where none is applied.

    `tenant_limits` replace or add to `limits` by the rule's name, None lifts it. `models` None: every model that the
    upstream knows, without a price. `upstreams` by name are all that can be reached. `allowed_regions` are the stack's:
    no target outside of them is used, whatever a residency says. `endpoints` are this gateway's URLs in other regions.
    `global_tenants`: those that may use targets which process anywhere. `secret_prefix`: what a document's names of
    secrets come after. Of `canaries` the first that is for a request counts. `verification`: what requests and answers
    are held to beside their API's schema.
    """

    version: int
    limits: tuple[LimitRule, ...]
    tenant_limits: Mapping[str, Mapping[str, LimitRule | None]]
    models: Mapping[str, ModelRules] | None
    upstreams: Mapping[str, UpstreamRules] = {}
    apps: Mapping[str, AppRules] = {}
    allowed_regions: frozenset[str] = frozenset()
    endpoints: Mapping[str, str] = {}
    global_tenants: frozenset[str] = frozenset()
    secret_prefix: str = ""
    canaries: tuple[CanaryRules, ...] = ()
    verification: VerificationRules = VerificationRules()


_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 5
_COUNTER_IDS: dict[tuple[str, str, Window], str] = {}
_MAX_COUNTER_IDS = 4096


def counter_id(name: str, unit: str, window: Window) -> str:
    """Give five letters and digits that name a rule's counters; two rules of one scope may not share them."""
    known = _COUNTER_IDS.get((name, unit, window))
    if known is None:
        text = f"{name} {unit} {window.text}"
        number, digit = divmod(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]), 10)
        known = str(digit)  # no word that DynamoDB reserves has a digit
        for _ in range(_ID_LENGTH - 1):
            number, place = divmod(number, len(_ALPHABET))
            known += _ALPHABET[place]
        if len(_COUNTER_IDS) >= _MAX_COUNTER_IDS:
            _COUNTER_IDS.clear()
        _COUNTER_IDS[name, unit, window] = known
    return known


def rule_name(scope: tuple[str, ...], unit: str, window: Window) -> str:
    """Give the name of a rule that has none of its own, such as `key-requests-1m` or `tenant+model-usd-month`."""
    parts = ["+".join(scope), unit] + ([] if unit == "concurrent" else [window.text])
    return "-".join(parts)


def parse_window(text: str) -> Window:
    """Read a window: a whole number with s, m, h or d, from 1s to 31d; or `day`, `month`. Raises `ValueError`."""
    if text in CALENDARS:
        return Window(calendar=text)
    number, seconds = text[:-1], _SECONDS.get(text[-1:])
    if seconds is None or not (number.isascii() and number.isdigit()) or len(number) > len(str(MAX_WINDOW_S)):
        raise ValueError("must be a number with s, m, h or d, such as 1m, or day or month")
    length_s = int(number) * seconds
    if not MIN_WINDOW_S <= length_s <= MAX_WINDOW_S:
        raise ValueError("must be from 1s to 31d")
    return Window(length_s)


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

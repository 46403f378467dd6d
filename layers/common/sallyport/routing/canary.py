"""Which arm of a canary a request takes: nothing is stored about anyone, and every process gives the same answer.

A caller's unit (subject, tenant, key, a header or a cookie) is put through a keyed hash, which is uniform; whoever lies
below the weight is on the canary. A higher weight only adds callers, so nobody goes back and forth during a ramp. The
key keeps callers from working out which names would be on which arm.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sallyport.policy.canary_rules import (
    CANARY,
    FULL_WEIGHT,
    PROMOTED,
    ROLLED_BACK,
    RUNNING,
    STABLE,
    STOPPED,
    CanaryRules,
    CanaryState,
    CanaryStates,
)
from sallyport.policy.canary_states import derived_key

CANARY_HEADER = "x-sallyport-canary"
"""In a request: `next` or `next=stable`, heeded for those who may. In an answer: the canary and its arm."""

CANARY_SCOPE = "canary"
"""Who has this scope may choose the arm."""

BUCKETS = 128
"""Units are counted in so many groups, so that the guard can tell one bad unit from many without knowing any."""

STATE_UNKNOWN = "state_unknown"
"""The note where the canaries' state can't be read: until it can, nobody is put on a canary."""

_HASH_BYTES = 8
_HASH_BITS = 8 * _HASH_BYTES
_RUN_DIGITS = 8


class CanaryCaller(NamedTuple):
    """A request as canaries see it. `headers` have lower-case names; `claims` are pairs of name and value.

    `model` is what the client calls it, `app` the operator's own application: one of the two is empty. `key` is the
    family or id of an API key, empty for a JWT. `region` is the gateway's own. `may_override`: may choose its arm.
    """

    operation: str
    tenant: str
    subject: str
    model: str = ""
    app: str = ""
    key: str = ""
    country: str = ""
    region: str = ""
    claims: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = {}
    may_override: bool = False


class Unit(NamedTuple):
    """Who stays on one arm together, such as `("tenant", "acme")`; the value is nothing for a log."""

    kind: str
    value: str


class Assignment(NamedTuple):
    """The arm of one request. `is_forced`: the caller chose it. `run` and `bucket` say where its outcome is counted.

    `note` says why it is on the stable arm whatever its unit; empty: no such reason. `is_split`: some go to the canary
    and others don't.
    """

    rules: CanaryRules
    state: CanaryState
    arm: str
    is_forced: bool
    note: str
    run: str
    unit: Unit
    bucket: int
    is_split: bool = True

    @property
    def is_counted(self) -> bool:
        """Say whether it may be compared with others: chance alone chose its arm, and could have chosen either."""
        return self.is_split and not self.is_forced and not self.note

    @property
    def header(self) -> str:
        """Give the answer's header, such as `next=canary`."""
        return f"{self.rules.name}={self.arm}"

    def not_offered(self, note: str) -> "Assignment":
        """Give it for a caller that may not use the canary's target, whichever its arm was: stable, and uncounted."""
        return self._replace(arm=STABLE, note=note)


def assign(
    canaries: Iterable[CanaryRules], states: CanaryStates | None, caller: CanaryCaller, now_s: float, stack: str
) -> Assignment | None:
    """Give the arm by the first canary that is for the request, or the one that the caller chose; None: there is none.

    The first one decides also where its weight is 0. `states` None: they can't be read. `now_s` is the wall clock,
    `stack` the stack's name.
    """
    wanted, wanted_arm = _override(caller)
    chosen: CanaryRules | None = None
    for rules in canaries:
        if rules.name == wanted and _may_reach(rules, caller):
            return _assigned(rules, states, caller, now_s, stack, wanted_arm)
        if chosen is None and is_for(rules, caller):
            chosen = rules
    return None if chosen is None else _assigned(chosen, states, caller, now_s, stack)


def override_note(caller: CanaryCaller, assignment: Assignment | None) -> str | None:
    """Say for the log whether the caller's own choice was `heeded` or `ignored`; None: it made none."""
    if CANARY_HEADER not in caller.headers:
        return None
    return "heeded" if assignment is not None and assignment.is_forced else "ignored"


def is_for(rules: CanaryRules, caller: CanaryCaller) -> bool:
    """Say whether a canary is for a request, whatever its weight."""
    match = rules.match
    return (
        _may_reach(rules, caller)
        and (not match.countries or caller.country in match.countries)
        and all(pair in caller.claims for pair in match.claims)
        and all(caller.headers.get(name) == value for name, value in match.headers)
    )


def unit_of(rules: CanaryRules, caller: CanaryCaller) -> Unit:
    """Give by whom the arm is chosen: the canary's unit, or the subject where the request doesn't have that one."""
    kind = rules.sticky_by
    if kind == "tenant":
        return Unit(kind, caller.tenant)
    value = caller.key if kind == "key" else _sent(kind, caller.headers)
    return Unit(kind, value) if value else Unit("subject", f"{caller.tenant} {caller.subject}")


def effective_weight(rules: CanaryRules, state: CanaryState, now_s: float) -> int:
    """Give how much goes to the canary now, in hundredths of a percent."""
    if state.phase == PROMOTED:
        return FULL_WEIGHT
    if state.phase in {ROLLED_BACK, STOPPED} or not rules.steps:
        return 0
    return rules.steps[current_step(rules, state, now_s)].weight if state.weight is None else state.weight


def current_step(rules: CanaryRules, state: CanaryState, now_s: float) -> int:
    """Give which step a canary is at. Where a guard watches, it alone goes on to the next; else the clock does.

    A state of unknown beginning (`since_s` 0) stays where it is.
    """
    last = len(rules.steps) - 1
    step = max(0, min(state.step, last))
    if rules.guard is not None or state.phase != RUNNING or state.since_s <= 0:
        return step
    left_s = now_s - state.since_s
    while step < last and 0 < rules.steps[step].hold_s <= left_s:
        left_s -= rules.steps[step].hold_s
        step += 1
    return step


def initial_state(rules: CanaryRules, now_s: int) -> CanaryState:
    """Give the state of a canary that nobody has touched. `now_s` 0: when it began isn't known."""
    state = CanaryState(RUNNING if rules.starts else STOPPED, 0, now_s, "")
    return state._replace(run=run_of(rules, state, 0))


def state_of(rules: CanaryRules, states: CanaryStates) -> CanaryState:
    """Give a canary's stored state, or the initial one."""
    return stored_state(rules, states) or initial_state(rules, 0)


def stored_state(rules: CanaryRules, states: CanaryStates) -> CanaryState | None:
    """Give a canary's stored state, None where there is none that counts.

    A promotion is that of one target and parameters: others under the same name haven't earned all traffic. A rollback
    stands for whatever has its name.
    """
    state = states.states.get(rules.name)
    if state is not None and state.phase == PROMOTED and _digest(rules, FULL_WEIGHT) != state.run.partition("-")[2]:
        return None
    return state


def run_of(rules: CanaryRules, state: CanaryState, version: int) -> str:
    """Name what is counted together from a state on that is written as this version, such as `7-0f3a55c1`."""
    return f"{version}-{_digest(rules, effective_weight(rules, state, state.since_s))}"


def run_in_force(rules: CanaryRules, state: CanaryState, now_s: float) -> str:
    """Name what is counted together now: the state's run, or another if the canary isn't the same any more.

    A document may have changed its target or parameters, or the clock its weight, without a new state.
    """
    version = state.run.partition("-")[0] or "0"
    return f"{version}-{_digest(rules, effective_weight(rules, state, now_s))}"


def key_of(states: CanaryStates, stack: str) -> bytes:
    """Give what callers are hashed with: the stored key, before there is one the stack's. Raises `ValueError`."""
    return bytes.fromhex(states.key or derived_key(stack))


def is_in(key: bytes, name: str, unit: Unit, weight: int) -> bool:
    """Say whether a unit is among the first `weight` hundredths of a percent: nobody at 0, everybody at 10,000."""
    place = int.from_bytes(_hash(key, name, unit)[:_HASH_BYTES])
    return place * FULL_WEIGHT < weight << _HASH_BITS


def bucket_of(key: bytes, name: str, unit: Unit) -> int:
    """Give the group, from 0 to 127, that a unit is counted in; independent of its arm."""
    return _hash(key, name, unit)[_HASH_BYTES] % BUCKETS


def _assigned(
    rules: CanaryRules,
    states: CanaryStates | None,
    caller: CanaryCaller,
    now_s: float,
    stack: str,
    forced: str = "",
) -> Assignment:
    known = CanaryStates() if states is None else states
    key, state, unit = key_of(known, stack), state_of(rules, known), unit_of(rules, caller)
    weight = 0 if states is None else effective_weight(rules, state, now_s)
    arm = forced or (CANARY if is_in(key, rules.name, unit, weight) else STABLE)
    note = STATE_UNKNOWN if states is None and not forced else ""
    run = run_in_force(rules, state, now_s)
    bucket, is_split = bucket_of(key, rules.name, unit), 0 < weight < FULL_WEIGHT
    return Assignment(rules, state, arm, bool(forced), note, run, unit, bucket, is_split)


def _override(caller: CanaryCaller) -> tuple[str, str]:
    """Give the canary and the arm that the caller wants and may have; empty: none."""
    text = caller.headers.get(CANARY_HEADER, "") if caller.may_override else ""
    name, says_arm, arm = text.strip().partition("=")
    wanted = arm if says_arm else CANARY
    return (name, wanted) if wanted in {CANARY, STABLE} else ("", "")


def _may_reach(rules: CanaryRules, caller: CanaryCaller) -> bool:
    """Say whether the request is of the canary's kind, and of a tenant and in a region that it is for.

    That much also who chooses the arm must meet: one tenant's canary may be on an upstream of its own.
    """
    match = rules.match
    return (
        (caller.model in rules.models or caller.operation in rules.routes or caller.app in rules.apps)
        and (not match.tenants or caller.tenant in match.tenants)
        and (not match.regions or caller.region in match.regions)
    )


def _sent(kind: str, headers: Mapping[str, str]) -> str:
    """Give the value of the unit `header:<name>` or `cookie:<name>`, empty where it wasn't sent."""
    source, _, name = kind.partition(":")
    if source == "header":
        return headers.get(name.lower(), "").strip()
    return _cookie(name, headers.get("cookie", "")) if source == "cookie" else ""


def _cookie(name: str, cookies: str) -> str:
    """RFC 6265, section 4.2: pairs with semicolons between; of two of one name the first is the more specific."""
    for pair in cookies.split(";"):
        found, _, value = pair.strip().partition("=")
        if found == name:
            return value
    return ""


def _hash(key: bytes, name: str, unit: Unit) -> bytes:
    text = f"{name}\0{unit.kind}\0{unit.value}"
    return hmac.digest(key, text.encode(errors="surrogatepass"), "sha256")


def _digest(rules: CanaryRules, weight: int) -> str:
    """Give a digest of what makes outcomes comparable: with another target, parameters or weight they aren't."""
    target = None if rules.target is None else [rules.target.upstream, rules.target.model]
    text = json.dumps([rules.name, target, dict(rules.parameters), weight], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_RUN_DIGITS]

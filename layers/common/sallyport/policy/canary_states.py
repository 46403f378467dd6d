"""How far every canary has come, as it is stored, and as this process knows it.

All states are one item at one version, so that of two changes at once one is refused, whoever makes them: the guard,
another guard, an operator. A process that can't read them keeps the last good ones; with none, no canary gets a
request, since one of them may have been rolled back.
"""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, Protocol

from sallyport.policy.canary_rules import FULL_WEIGHT, PHASES, CanaryState, CanaryStates

STATE_KEY = ("policy#canaries", "state")
"""Where the states are: partition and sort key in the config table."""
HISTORY_PARTITION = "canaryhistory"
"""Where every change is, under its version's number."""
_VERSION_DIGITS = 12

CHANGES = ("start", "set", "pause", "resume", "promote", "abort", "guard", "key")
"""What changes states. `key`: the guard has made the key that callers are hashed with."""
GUARD = "guard"
"""Who changed a state where no person did."""

RETRY_S = 1.0
"""While nothing is known, the store is asked at most this often."""
MAX_REASON_CHARS = 500
MAX_STATES = 100
"""Kept, where the policy has fewer canaries: with the longest reasons under 300 of the 400 KB that an item may have."""


class StateStoreError(Exception):
    """The states can't be read or written. The message is for the log: an error code, no data."""


class StateConflictError(Exception):
    """Somebody else has changed the states since they were read; nothing was written."""


class Change(NamedTuple):
    """Who changed what, for the history. `canary` empty: none of them. `reason` is a person's note, or the guard's."""

    at_s: int
    by: str
    what: str
    canary: str
    reason: str = ""


class CanaryStateStore(Protocol):
    """Keeps the states, and the history of their changes."""

    def read(self) -> CanaryStates:
        """Give the newest states; version 0 where there are none. Raises `StateStoreError`, also for broken ones."""

    def write(self, before: CanaryStates, after: CanaryStates, change: Change) -> CanaryStates:
        """Put `after` in the place of `before`, with its entry in the history, and give it.

        Raises `StateConflictError` if the stored version isn't that of `before`, and `StateStoreError`.
        """


def derived_key(stack: str) -> str:
    """Give the key (hex) that callers are hashed with while no states are stored."""
    return hashlib.sha256(f"sallyport canary {stack}".encode()).hexdigest()


def new_key() -> str:
    """Give a key of 32 random bytes, in hex."""
    return os.urandom(32).hex()


def new_token() -> str:
    """Give a token that names one write ("TransactWriteItems", ClientRequestToken: 36 characters at most)."""
    return os.urandom(16).hex()


def with_state(before: CanaryStates, name: str, state: CanaryState, stack: str) -> CanaryStates:
    """Give the next version, in which one canary has this state.

    The first one keeps the key that is derived from the stack's name: callers may have been assigned with it already,
    and must stay where they are.
    """
    reason = state.reason[:MAX_REASON_CHARS].encode(errors="replace").decode()
    bounded = state._replace(reason=reason)
    return CanaryStates(before.version + 1, before.key or derived_key(stack), {**before.states, name: bounded})


def without_old(states: CanaryStates, in_force: Collection[str]) -> CanaryStates:
    """Give the states without the oldest of those that the policy has no more, as far as there are too many."""
    gone = sorted(states.states.keys() - set(in_force), key=lambda name: (states.states[name].since_s, name))
    dropped = set(gone[: max(len(states.states) - MAX_STATES, 0)])
    return states._replace(states={name: state for name, state in states.states.items() if name not in dropped})


def with_new_key(before: CanaryStates) -> CanaryStates:
    """Give the next version with a random key, for a stack whose callers nobody has assigned yet."""
    return CanaryStates(before.version + 1, new_key(), before.states)


def history_key(version: int) -> tuple[str, str]:
    """Give the partition and sort key of a version's entry in the history; text order is that of numbers."""
    return HISTORY_PARTITION, f"{version:0{_VERSION_DIGITS}d}"


def state_item(states: CanaryStates) -> dict[str, dict[str, str]]:
    """Give the item that holds the states."""
    pk, sk = STATE_KEY
    return {
        "pk": {"S": pk},
        "sk": {"S": sk},
        "version": {"N": str(states.version)},
        "key": {"S": states.key},
        "states": {"S": dump_states(states.states)},
    }


def read_state_item(item: Mapping[str, Any] | None) -> CanaryStates:
    """Give the states that an item holds, version 0 for none. Raises `StateStoreError` for a broken one."""
    if item is None:
        return CanaryStates()
    try:
        version, key = int(item["version"]["N"]), str(item["key"]["S"])
        if version < 1 or len(bytes.fromhex(key)) != 32:  # noqa: PLR2004 - bytes of a key
            raise StateStoreError("the stored canary states are broken")
        return CanaryStates(version, key, load_states(item["states"]["S"]))
    except (KeyError, TypeError, ValueError, RecursionError):
        raise StateStoreError("the stored canary states are broken") from None


def history_item(before: CanaryStates, after: CanaryStates, change: Change, token: str) -> dict[str, dict[str, str]]:
    """Give the item of one change in the history. By its token whoever wrote it knows it again."""
    pk, sk = history_key(after.version)
    return {
        "pk": {"S": pk},
        "sk": {"S": sk},
        "at": {"N": str(change.at_s)},
        "by": {"S": change.by},
        "what": {"S": change.what},
        "canary": {"S": change.canary},
        "reason": {"S": change.reason[:MAX_REASON_CHARS]},
        "before": {"S": dump_state(before.states.get(change.canary))},
        "after": {"S": dump_state(after.states.get(change.canary))},
        "token": {"S": token},
    }


def write_items(table: str, before: CanaryStates, after: CanaryStates, change: Change, token: str) -> dict[str, Any]:
    """Give the payload of the TransactWriteItems that puts `after` in the place of `before`; of two, one succeeds.

    `token` is a new one for each write; the same call again changes nothing.
    """
    state: dict[str, Any] = {
        "TableName": table,
        "Item": state_item(after),
        "ConditionExpression": "version = :expected" if before.version else "attribute_not_exists(pk)",
    }
    if before.version:
        state["ExpressionAttributeValues"] = {":expected": {"N": str(before.version)}}
    entry = {
        "TableName": table,
        "Item": history_item(before, after, change, token),
        "ConditionExpression": "attribute_not_exists(pk)",
    }
    return {"TransactItems": [{"Put": state}, {"Put": entry}], "ClientRequestToken": token}


def dump_states(states: Mapping[str, CanaryState]) -> str:
    """Write states by canary as JSON."""
    found = {name: state._asdict() for name, state in states.items()}
    return json.dumps(found, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def load_states(text: str) -> dict[str, CanaryState]:
    """Read what `dump_states` wrote. Raises `ValueError` for anything else."""
    raw = json.loads(text)
    if not isinstance(raw, dict):
        raise ValueError("canary states aren't an object")  # noqa: TRY004 - one error for all that is broken
    return {name: read_state(state) for name, state in raw.items()}


def dump_state(state: CanaryState | None) -> str:
    """Write one state as JSON, `null` for none."""
    return json.dumps(state and state._asdict(), separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def load_state(text: str) -> CanaryState | None:
    """Read what `dump_state` wrote. Raises `ValueError` for anything else."""
    raw = json.loads(text)
    return None if raw is None else read_state(raw)


def read_state(raw: object) -> CanaryState:
    """Read a state from JSON's object. Raises `ValueError`; a field that only a newer version knows is passed over."""
    if not isinstance(raw, dict):
        raise ValueError("a canary's state isn't an object")  # noqa: TRY004 - one error for all that is broken
    try:
        state = CanaryState(**{name: raw[name] for name in CanaryState._fields if name in raw})
    except TypeError:
        raise ValueError("a canary's state lacks a field") from None
    if not _is_sound(state):
        raise ValueError("a canary's state is broken")
    return state


def _is_sound(state: CanaryState) -> bool:
    return (
        state.phase in PHASES
        and _is_count(state.step)
        and _is_count(state.since_s)
        and (state.weight is None or (_is_count(state.weight) and state.weight <= FULL_WEIGHT))
        and all(isinstance(text, str) for text in (state.run, state.reason, state.by))
    )


def _is_count(value: object) -> bool:
    """Say whether a value is a whole number from 0; JSON's true is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class CurrentCanaries:
    """Gives the newest states that could be read. Nothing is read before somebody asks: most stacks have no canary.

    `now` gives seconds; `tell` learns why a refresh failed.
    """

    def __init__(
        self, store: CanaryStateStore, refresh_s: float, now: Callable[[], float], tell: Callable[[str], None]
    ) -> None:
        self._store = store
        self._refresh_s = refresh_s
        self._now = now
        self._tell = tell
        self._states = CanaryStates()
        self._is_known = False
        self._is_asked = False
        self._checked_s = float("-inf")

    @property
    def is_known(self) -> bool:
        """Say whether the states could ever be read. If not, every canary has a weight of 0: it may be rolled back."""
        return self._is_known

    def get(self) -> CanaryStates:
        """Give the states, at most `refresh_s` old as long as the store can be read; ask `is_known` after it."""
        self._is_asked = True
        self._refresh_after(self._refresh_s)
        return self._states

    def refresh_early(self) -> None:
        """Look for newer states if half of the interval is over: after a response, when nobody waits for it.

        Does nothing unless somebody has asked for them since the last time.
        """
        if self._is_asked:
            self._is_asked = False
            self._refresh_after(self._refresh_s / 2)

    def _refresh_after(self, age_s: float) -> None:
        now_s = self._now()
        wait_s = age_s if self._is_known else RETRY_S
        if 0 <= now_s - self._checked_s < wait_s:  # a clock that went backwards tells nothing of the age
            return
        self._checked_s = now_s
        try:
            states = self._store.read()
        except StateStoreError as error:
            self._tell(str(error))
            return
        if states.version < self._states.version:
            self._tell("the stored canary states have vanished, or older ones are in their place")
            return
        self._states, self._is_known = states, True

"""The day on which a key was last used, so that an operator can tell the keys nobody needs any more.

A day is enough for that, and keeps it cheap: one write per key, day and process, made after the response.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

KEPT_S = 400 * 86_400
"""How long a day stays stored after the last use: over a year, for the key of a yearly job."""
RETRY_S = 60
MAX_KEYS = 4000
"""Keys remembered by a process. One that was forgotten is written again, which the store takes as nothing new."""


class LastUsedStore(Protocol):
    """Where the days are; an adapter writes them."""

    def write(self, key_id: str, day: str, expires_at_s: int) -> None:
        """Store a day (ISO 8601, UTC) unless the same or a later one is there. Raises errors of its own."""


class LastUsed:
    """Notes uses of keys. After a failure nothing is written for a minute, so a store that is down slows nobody."""

    def __init__(self, store: LastUsedStore, on_failure: Callable[[Exception], object] = lambda _: None) -> None:
        self._store = store
        self._on_failure = on_failure
        self._days: OrderedDict[str, str] = OrderedDict()
        self._failed_at_s: float | None = None

    def note(self, key_id: str, now_s: float) -> None:
        """Note that a key was used. Never raises: a failure is told to `on_failure` and made up for by a later use."""
        day = time.strftime("%Y-%m-%d", time.gmtime(now_s))
        if day <= self._days.get(key_id, "") or self._pauses(now_s):
            return
        try:
            self._store.write(key_id, day, int(now_s) + KEPT_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller has been answered
            self._failed_at_s = now_s
            self._on_failure(error)
            return
        self._failed_at_s = None
        self._remember(key_id, day)

    def _pauses(self, now_s: float) -> bool:
        return self._failed_at_s is not None and 0 <= now_s - self._failed_at_s < RETRY_S

    def _remember(self, key_id: str, day: str) -> None:
        self._days[key_id] = day
        self._days.move_to_end(key_id)
        if len(self._days) > MAX_KEYS:
            self._days.popitem(last=False)

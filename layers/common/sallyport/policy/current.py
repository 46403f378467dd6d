"""The policy in force in this process: read at the start, looked at again every few seconds, never lost.

A stored policy that can't be read leaves the last good one in force and tells the alarm; with none, nobody is judged.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from sallyport.policy.effective import CompiledPolicyError
from sallyport.policy.parameters import ConfigurationError

RETRY_S = 1.0
"""While there is no policy at all, the store is asked at most this often."""


class PolicyStoreError(Exception):
    """The stored policy can't be read. The message is for the log: an error code, no data."""


class PolicyUnavailableError(Exception):
    """No policy could ever be read by this process; it can't judge."""


class Pointer(NamedTuple):
    """Which compiled document is in force: its version, the SHA-256 of its text in hex, the pieces it is stored in."""

    version: int
    sha256: str
    chunks: int


class PolicyStore(Protocol):
    """Where the applied policy is; an adapter reads it."""

    def read_pointer(self) -> Pointer | None:
        """Give what is in force, None if no document was ever applied. Raises `PolicyStoreError`."""

    def read_compiled(self, pointer: Pointer) -> str:
        """Give a compiled document's text. Raises `PolicyStoreError`, also where the text isn't the pointer's."""


class CurrentPolicy[T]:
    """Gives what `build` made of the newest policy that could be read.

    `build` takes the compiled document, None where none is applied, and its version; it raises for one that can't be
    put into force. `tell` learns why a refresh failed.
    """

    def __init__(
        self,
        store: PolicyStore,
        build: Callable[[Mapping[str, Any] | None, int], T],
        refresh_s: float,
        *,
        now: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self._store = store
        self._build = build
        self._refresh_s = refresh_s
        self._now = now
        self._tell = tell
        self._built: T | None = None
        self._pointer: Pointer | None = None
        self._checked_s = float("-inf")

    def prime(self) -> None:
        """Read the policy at the start. What can't be read is told, and tried again by `get`."""
        self._refresh_after(self._refresh_s)

    def get(self) -> T:
        """Give what is in force, at most `refresh_s` old as long as the store can be read.

        A process that was frozen for longer looks before it judges. Raises `PolicyUnavailableError`.
        """
        self._refresh_after(self._refresh_s)
        if self._built is None:
            raise PolicyUnavailableError("no policy could be read")
        return self._built

    def refresh_early(self) -> None:
        """Look for a newer policy if half of the interval is over: after a response, when nobody waits for it."""
        self._refresh_after(self._refresh_s / 2)

    def _refresh_after(self, age_s: float) -> None:
        now_s = self._now()
        wait_s = age_s if self._built is not None else RETRY_S
        if 0 <= now_s - self._checked_s < wait_s:  # a clock that went backwards tells nothing of the age
            return
        self._checked_s = now_s
        try:
            self._refresh()
        except (PolicyStoreError, CompiledPolicyError, ConfigurationError) as error:
            self._tell(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a broken document raises, the last good one stays
            self._tell(f"the stored policy is broken: {type(error).__name__}")

    def _refresh(self) -> None:
        pointer = self._store.read_pointer()
        if pointer is None and self._pointer is not None:
            raise PolicyStoreError("the applied policy has vanished")
        if self._built is not None and pointer == self._pointer:
            return
        if pointer is None:
            self._built = self._build(None, 0)
            return
        compiled = json.loads(self._store.read_compiled(pointer))
        if not isinstance(compiled, dict):
            raise CompiledPolicyError("the stored policy isn't an object")
        self._built = self._build(compiled, pointer.version)
        self._pointer = pointer

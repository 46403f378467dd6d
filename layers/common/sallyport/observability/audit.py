"""The audit trail: one record of each decision before anything is forwarded, one of its outcome, chained by hash.

Every function instance has a chain of its own: each record holds the hash of the one before, so that a changed, removed
or exchanged record shows. The head is anchored while there is traffic, so that a chain that was written anew or cut
shows too, to everyone who can't write anchors. A record holds no prompt, no answer and no credential.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from sallyport.observability.anchors import Anchor, AnchorError, AnchorStore, first_hash
from sallyport.observability.log import Field

ANCHOR_EVERY_S: Final = 30
MESSAGE: Final = "audit"
"""What a record's log line is called."""
DECISION, OUTCOME = "decision", "outcome"
FIRST_SEQ: Final = 1


class AuditTrail:
    """The chain of one function instance. Not for several threads at once; an instance has one request at a time."""

    def __init__(
        self,
        write: Callable[..., None],
        chain: str,
        now: Callable[[], float],
        anchors: AnchorStore,
        tell: Callable[[str], None],
        region: str,
    ) -> None:
        """`write` is a logger's `audit`; `tell` gets the code of an anchor that failed; `region` is the function's."""
        self._write = write
        self._chain = chain
        self._now = now
        self._anchors = anchors
        self._tell = tell
        self._region = region
        self._seq = FIRST_SEQ - 1
        self._head = first_hash(chain)
        self._anchored_seq = self._seq
        self._anchored_s: float | None = None

    def decision(self, **fields: Field) -> None:
        """Write at once what was decided, before anything is forwarded. What it raises must stop the request."""
        self._record(DECISION, fields)

    def outcome(self, **fields: Field) -> None:
        """Write at once what became of a request."""
        self._record(OUTCOME, fields)

    def anchor_if_due(self) -> None:
        """Anchor the head if records are new and the last anchor is 30 s old; to be called after a response.

        Never raises: what fails is told, and tried again the next time.
        """
        now_s = self._now()
        if self._anchored_seq == self._seq or not self._is_due(now_s):
            return
        anchor = Anchor(self._chain, self._seq, self._head, int(now_s), self._chain.rpartition("/")[0])
        try:
            self._anchors.write(anchor)
        except AnchorError as error:
            self._tell(str(error))
        except Exception as error:  # noqa: BLE001 - an answer that has gone out can't be failed any more
            self._tell(type(error).__name__)
        else:
            self._anchored_seq, self._anchored_s = anchor.seq, now_s

    def _is_due(self, now_s: float) -> bool:
        """A clock that was set back counts as due: the next anchor may come early, but never late."""
        return self._anchored_s is None or not 0 <= now_s - self._anchored_s < ANCHOR_EVERY_S

    def _record(self, kind: str, fields: Mapping[str, Field]) -> None:
        record: dict[str, Any] = {
            **{name: value for name, value in fields.items() if value is not None},  # as the logger leaves them out
            "chain": self._chain,
            "seq": self._seq + 1,
            "prev": self._head,
            "kind": kind,
            "time_ms": int(self._now() * 1000),
            "recorded_in": self._region,
        }
        head = record_hash(record)
        self._write(MESSAGE, **record, hash=head)
        self._seq, self._head = self._seq + 1, head  # a record that couldn't be written isn't part of the chain


def new_chain(function_name: str) -> str:
    """Give the id of a new chain: the function's name, and 16 hexadecimal digits that no other instance has."""
    return f"{function_name}/{os.urandom(8).hex()}"


def record_hash(record: Mapping[str, Any]) -> str:
    """Give a record's hash: SHA-256, in hexadecimal, of its canonical JSON without the field `hash`.

    Canonical: keys sorted, no spaces, ASCII alone. Raises `ValueError` for what JSON doesn't know.
    """
    fields = {name: value for name, value in record.items() if name != "hash"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()

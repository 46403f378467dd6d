"""What would become of a body."""

from __future__ import annotations

from typing import Final, NamedTuple

from sallyport.errors import SallyportError

TOO_LARGE: Final = "the body is too large for a copy, so it passes without a look at it"
FAULT: Final = "the look at it fails by a fault of the gateway's own, so it passes"


class Refusal(NamedTuple):
    """What a client would be told. `is_midway`: the answer had begun, so that its stream would end with an error."""

    status: int
    code: str
    param: str | None
    reason: str
    is_midway: bool = False

    @classmethod
    def of(cls, error: SallyportError, *, is_midway: bool = False) -> Refusal:
        """Take it from the functions' own error, whose message repeats no value."""
        return cls(error.status, error.code, error.param, error.message, is_midway)


class Outcome(NamedTuple):
    """What the functions' code did with a body.

    `mode`: of the verification of answers, empty for a request. `findings` and `violations` are as the log has them.
    `passed`: what would go on, None: nothing. `notes`: what wasn't tried.
    """

    given: bytes
    refusal: Refusal | None
    passed: bytes | None
    mode: str = ""
    findings: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether something else than what was given would go on."""
        return self.passed is not None and self.passed != self.given

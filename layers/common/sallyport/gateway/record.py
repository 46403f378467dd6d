"""What a router function knows of one request when it is over: its log line, without content."""

import re
import time
from collections.abc import Callable, Mapping

from sallyport.errors import SallyportError
from sallyport.identity.principal import Principal
from sallyport.observability.log import Failure, Field, Logger

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
_OUTCOME = ("status", "code", "upstream_status", "complete")


class RequestRecord:
    """Collects a request's fields; `emit` writes them once the answer has gone out."""

    def __init__(
        self, logger: Logger, request_id: str, route: str, now: Callable[[], float] = time.perf_counter
    ) -> None:
        self._logger = logger
        self._now = now
        self._begun_s = now()
        self._fields: dict[str, Field] = {"request_id": request_id, "route": route}
        self._error: str = ""
        self.bytes_out = 0

    def note(self, **fields: Field) -> None:
        """Add fields."""
        self._fields.update(fields)

    def note_principal(self, principal: Principal) -> None:
        """Add who is calling."""
        self.note(
            tenant=principal.tenant, subject=principal.subject, key_id=principal.key_id or None, auth=principal.method
        )

    def note_error(self, error: SallyportError) -> None:
        """Add a refusal or failure that the client is told of."""
        self.note(status=error.status, code=error.code)

    def note_failure(self, error: BaseException) -> None:
        """Add an exception that nobody expected, by type and place."""
        failure = Failure.of(error)
        self._error = failure.type
        self.note(failure=failure.type, failure_at=failure.location)

    def note_first_byte(self) -> None:
        """Add the time to the first byte, unless it is there."""
        self._fields.setdefault("first_byte_ms", self._elapsed_ms())

    @property
    def fields(self) -> Mapping[str, Field]:
        """Give all fields, as the log line has them."""
        return self._fields

    def outcome(self) -> dict[str, Field]:
        """Give how the request ended, for the audit trail."""
        return {name: self._fields.get(name) for name in _OUTCOME}

    def emit(self) -> None:
        """Write the line."""
        self.note(duration_ms=self._elapsed_ms(), bytes_out=self.bytes_out)
        write = self._logger.error if self._error else self._logger.info
        write("request", **self._fields)

    def _elapsed_ms(self) -> float:
        return round((self._now() - self._begun_s) * 1000, 1)


def loggable_model(model: str) -> str | None:
    """Give a model's name for the log; a text that no model could have for a name might be anything."""
    return model if _MODEL_NAME.fullmatch(model) else None

"""A handler module's two names: `init`, which the streaming runtime calls once, and `handler`, called per event."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from sallyport.policy.parameters import ConfigurationError
from sallyport.runtime.errors import Fault


class Entry:
    """A function's entry point. Imports stay pure: what it serves is made by `init`, or by the first event."""

    def __init__(self, make: Callable[[Mapping[str, str]], Callable[[Any, Any], Any]]) -> None:
        self._make = make
        self._serve: Callable[[Any, Any], Any] | None = None

    def init(self, environ: Mapping[str, str]) -> None:
        """Make what is served. Raises `Fault`, whose text the log shows: it is for the operator."""
        try:
            self._serve = self._make(environ)
        except ConfigurationError as error:
            raise Fault("Sallyport.ConfigurationError", str(error)) from None

    def __call__(self, event: Any, context: Any) -> Any:
        """Serve one event."""
        if self._serve is None:
            self.init(os.environ)
        assert self._serve is not None
        return self._serve(event, context)

"""The runtime's own lines in the function's log: one JSON object each, which CloudWatch finds fields in."""

import json
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def report(message: str, fields: "Mapping[str, Any]", level: str = "ERROR") -> None:
    """Write one line to stderr. `fields` hold types, places and ids, never an exception's text."""
    timestamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = {"timestamp": timestamp, "level": level, "message": message, **fields}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()

"""What reached the local API Gateway: one HTTP request, read from the ASGI scope, before it becomes an event."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class GatewayRequest:
    """One request, its headers in the order and case they came in (uvicorn lowers names, as HTTP/2 does)."""

    method: str
    path: str
    query_string: str
    headers: Sequence[tuple[str, str]]
    source_ip: str
    port: int
    http_version: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    extended_request_id: str = field(default_factory=lambda: secrets.token_urlsafe(11) + "=")
    received_at_s: float = field(default_factory=time.time)
    trace_id: str = field(default_factory=lambda: f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}")

    @property
    def host(self) -> str:
        """The Host header's value, which is the domain name that API Gateway sees."""
        return next((value for name, value in self.headers if name.lower() == "host"), "localhost")

    @property
    def head_bytes(self) -> int:
        """Size of the request line and the headers together, which API Gateway limits to 10,240 bytes."""
        line = len(self.method) + len(self.path) + len(self.query_string) + len(" ? HTTP/1.1\r\n")
        return line + sum(len(name) + len(value) + 4 for name, value in self.headers)


def from_scope(scope: Mapping[str, Any]) -> GatewayRequest:
    """The request of an ASGI http scope."""
    client, server = scope.get("client") or ("127.0.0.1", 0), scope.get("server") or ("127.0.0.1", 0)
    return GatewayRequest(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1") or "/",
        query_string=scope["query_string"].decode("latin-1"),
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        source_ip=client[0],
        port=server[1] or 0,
        http_version=scope["http_version"],
    )

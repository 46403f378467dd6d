"""Lets containers reach services that listen on this machine's loopback address alone.

A container of `sam local invoke` has a network of its own, whatever --docker-network says. With Docker Desktop its
host-gateway leads to the host's loopback; on Linux it leads to the bridge's address, where this relay listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import subprocess
from collections.abc import Awaitable, Callable, Sequence

_CHUNK_BYTES = 65_536
_DOCKER_TIMEOUT_S = 20

type _Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def bridge_address() -> str | None:
    """The host's address on Docker's default bridge; None where Docker doesn't answer."""
    command = ["docker", "network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOCKER_TIMEOUT_S, check=True)
        first = json.loads(done.stdout)[0]
    except (OSError, subprocess.SubprocessError, ValueError, LookupError):
        return None
    # Docker leaves the gateway out where it chose it: it is the network's first address then.
    return first.get("Gateway") or str(ipaddress.ip_network(first["Subnet"])[1])


class BridgeRelay:
    """Passes connections to `address` on to 127.0.0.1, port by port."""

    def __init__(self, address: str, ports: Sequence[int]) -> None:
        self._address = address
        self._ports = ports
        self._servers: list[asyncio.Server] = []

    async def start(self) -> bool:
        """Listens; False where the address isn't this machine's own, as with Docker Desktop, which needs no relay."""
        for port in self._ports:
            try:
                self._servers.append(await asyncio.start_server(_relay_to(port), self._address, port))
            except OSError:
                self.close()
                return False
        return True

    def close(self) -> None:
        """Stops listening."""
        for server in self._servers:
            server.close()


def _relay_to(port: int) -> _Handler:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    return relay


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.close()

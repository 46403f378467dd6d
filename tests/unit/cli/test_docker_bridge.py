"""The relay between Docker's bridge and this machine's loopback address."""

import asyncio
from contextlib import suppress

import pytest

from sallyport_cli.docker_bridge import BridgeRelay

NOT_OURS = "198.51.100.1"  # RFC 5737: nobody's
DEADLINE_S = 10


async def _shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while line := await reader.readline():
            writer.write(line.upper())
    writer.close()


async def _serve() -> tuple[asyncio.Server, int]:
    server = await asyncio.start_server(_shout, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


def test_relay_passes_bytes_both_ways() -> None:
    async def run() -> bytes:
        server, port = await _serve()
        relay = BridgeRelay("::1", [port])
        async with server, asyncio.timeout(DEADLINE_S):
            if not await relay.start():
                pytest.skip("this machine has no IPv6 loopback address")
            reader, writer = await asyncio.open_connection("::1", port)
            writer.write(b"hello\n")
            answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
            relay.close()
            return answer

    assert asyncio.run(run()) == b"HELLO\n"


def test_relay_says_that_an_address_is_not_this_machines() -> None:
    async def run() -> bool:
        server, port = await _serve()
        async with server:
            return await BridgeRelay(NOT_OURS, [port]).start()

    assert asyncio.run(run()) is False

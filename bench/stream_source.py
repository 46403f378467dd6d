"""An upstream in a process of its own that streams as fast as it can.

A chat's `max_tokens` says how many events, its `seed` how many of them come in one HTTP chunk.
"""

import asyncio
import json
import sys

CHUNKS_PER_WRITE = 16


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection until it closes."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            body = json.loads(await reader.readexactly(int(fields.get("content-length", 0))))
            await _stream(writer, body["max_tokens"], body["seed"])
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _stream(writer: asyncio.StreamWriter, events: int, in_chunk: int) -> None:
    """Send the first event alone, which an answer's beginning is; the number of the others is rounded up to chunks."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    other = _chunk(_delta("word ") * in_chunk)
    writer.write(_chunk(_delta("first ")))
    await writer.drain()
    chunks = -(-(events - 1) // in_chunk)
    for sent in range(0, chunks, CHUNKS_PER_WRITE):
        writer.write(other * min(CHUNKS_PER_WRITE, chunks - sent))
        await writer.drain()
    usage = {"prompt_tokens": 12, "completion_tokens": events, "total_tokens": events + 12}
    writer.write(_chunk(_event({"choices": [], "usage": usage})) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
    await writer.drain()


def _delta(text: str) -> bytes:
    return _event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], "usage": None})


def _event(fields: dict[str, object]) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini", **fields}
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def main() -> None:
    """Print the port, then serve until standard input ends."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())

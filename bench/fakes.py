"""DynamoDB, Secrets Manager and an upstream in one cheap process of its own, so that their CPU isn't counted.

They answer at once and always alike: what is measured is the gateway.
"""

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from sallyport.identity.api_keys import parse
from sallyport_cli.key_items import KeyGrant, key_item

STREAM_CHUNKS = 20
CHUNK_INTERVAL_S = 0.002
"""Long enough for each chunk to arrive alone."""
_USAGE = {"prompt_tokens": 12, "completion_tokens": 20, "total_tokens": 32}
_MODEL = "gpt-4o-mini"
_WINDOW = re.compile(r"\bw(\w{5}) = (:\w+)")
"""Where an update says which window a rule's counters are of."""


class Server:
    """Serves requests, told apart by AWS's target header."""

    def __init__(self, key: str) -> None:
        parts = parse(key)
        grant = KeyGrant(tenant="acme", name="example", subject="example")
        self._item = key_item(parts.key_id, parts.secret_sha256, grant, 0) if parts else {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it closes."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                body = json.loads(await reader.readexactly(int(fields.get("content-length", 0))))
                if body.get("stream"):
                    await _stream(writer, with_usage=bool((body.get("stream_options") or {}).get("include_usage")))
                else:
                    _write(writer, self.answer(fields.get("x-amz-target", "").rpartition(".")[2], body))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, operation: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give the answer to an operation of AWS's, by its lower-case name; without one, to a chat."""
        if operation == "getitem":
            return {"Item": self._item} if body["Key"]["pk"] == self._item["pk"] else {}
        if operation == "updateitem":
            return {"Attributes": _counters(body)}
        if operation == "getsecretvalue":
            return {"SecretString": "upstream-key"}
        message = {"role": "assistant", "content": "word " * 20}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": _MODEL,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": _USAGE,
        }


def _counters(update: Mapping[str, Any]) -> dict[str, Any]:
    """Give the counters of every rule that an update charges as they are after its first charge."""
    attributes: dict[str, Any] = {}
    for text in (update.get("ConditionExpression", ""), update["UpdateExpression"]):  # the later one is after the write
        for name, placeholder in _WINDOW.findall(text):
            window = update["ExpressionAttributeValues"][placeholder]
            attributes |= {f"w{name}": window, f"c{name}": {"N": "1"}, f"p{name}": {"N": "0"}}
    return attributes


def _write(writer: asyncio.StreamWriter, answer: Mapping[str, Any]) -> None:
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


async def _stream(writer: asyncio.StreamWriter, *, with_usage: bool) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk: dict[str, Any] = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": _MODEL}
    chunk |= {"usage": None} if with_usage else {}
    for _ in range(STREAM_CHUNKS - 1):
        delta = {"index": 0, "delta": {"content": "word "}, "finish_reason": None}
        _write_chunk(writer, f"data: {json.dumps({**chunk, 'choices': [delta]})}\n\n".encode())
        await asyncio.sleep(CHUNK_INTERVAL_S)
    if with_usage:
        _write_chunk(writer, f"data: {json.dumps({**chunk, 'choices': [], 'usage': _USAGE})}\n\n".encode())
    _write_chunk(writer, b"data: [DONE]\n\n")
    _write_chunk(writer, b"")


def _write_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))


async def main() -> None:
    """Print the port, then serve until standard input ends."""
    server = await asyncio.start_server(Server(sys.argv[1]).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())

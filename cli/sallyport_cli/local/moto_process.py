"""The embedded DynamoDB and Secrets Manager: moto in a process of its own, one request at a time.

moto's own server answers each request in a thread and then loses concurrent updates; werkzeug's without threads is held
up by any connection that is open and silent. So the connections are asyncio's, and moto's WSGI application is called in
the event loop itself: connections are many, calls are strictly one after another.
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from starlette.types import Receive, Scope, Send

from sallyport_cli.serving import listen, serve, stop_on_signals, stop_when_orphaned


class SerialWsgi:
    """A WSGI application as an ASGI one, never entered twice at a time because it is never awaited."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reads the request, calls the application, sends what it returned."""
        body = await _read_body(receive)
        status, headers, payload = self._call(_environ(scope, body))
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": payload})

    def _call(self, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:  # noqa: ARG001
            started[:] = [int(status.split(" ", 1)[0]), headers]

        result: Iterable[bytes] = self._application(environ, start_response)
        try:
            payload = b"".join(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        return started[0], started[1], payload


async def _read_body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def _environ(scope: Scope, body: bytes) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "RAW_URI": scope["raw_path"].decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": str(scope["server"][1]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": scope["client"][0],
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key != "CONTENT_LENGTH":
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value.decode("latin-1")
    return environ


async def run(port: int) -> None:
    """Serves until a signal comes or standard input ends; prints `ready URL` first."""
    try:
        listener = listen(port)
    except OSError as error:
        sys.exit(f"port {port}: {error.strerror}")
    stop = stop_on_signals()
    orphaned = asyncio.create_task(stop_when_orphaned(stop))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    application = SerialWsgi(DomainDispatcherApplication(create_backend_app))
    await serve(application, listener, stop, lambda: print(f"ready {url}", flush=True))
    orphaned.cancel()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 0))

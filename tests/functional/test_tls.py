"""TLS to an upstream: only a trusted certificate of the right name, and the connection is kept."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import write_certificate
from tests.support.servers import Received, ScriptedServer, serve

SCRIPT = """
import sys
from sallyport.adapters.upstream_http import HttpTransport
from sallyport.errors import SallyportError
from sallyport.providers.transport import UpstreamRequest
transport = HttpTransport(sys.argv[1], 5, 5)
for _ in range(3):
    try:
        response = transport.send(UpstreamRequest("POST", "/v1/x", {"host": "localhost"}, b"{}"), lambda: 10.0)
        print(response.status, b"".join(response.chunks()).decode())
        response.close()
    except SallyportError as error:
        print(error.code)
"""


class TlsServer(ScriptedServer):
    """A `ScriptedServer` behind a certificate for `localhost`."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.received: list[Received] = []
        super().__init__(serve(lambda _, peer: peer.answer(200, b"{}"), self.received))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.secure_with(context)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(certificate: tuple[Path, Path]) -> Iterator[TlsServer]:
    with TlsServer(*certificate) as running:
        yield running


def call(url: str, trusted: Path | None) -> list[str]:
    environ = {**os.environ, "SSL_CERT_FILE": str(trusted) if trusted else "", "SSL_CERT_DIR": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", SCRIPT, url], env=environ, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_trusted_upstream_is_called_over_one_connection(server: TlsServer, certificate: tuple[Path, Path]) -> None:
    assert call(server.url.replace("http://127.0.0.1", "https://localhost"), certificate[0]) == ["200 {}"] * 3
    assert server.connections == 1


def test_a_certificate_of_another_name_is_refused(server: TlsServer, certificate: tuple[Path, Path]) -> None:
    assert call(server.url.replace("http:", "https:"), certificate[0]) == ["upstream_unreachable"] * 3
    assert server.received == []


def test_an_untrusted_certificate_is_refused(server: TlsServer) -> None:
    assert call(server.url.replace("http://127.0.0.1", "https://localhost"), None) == ["upstream_unreachable"] * 3
    assert server.received == []

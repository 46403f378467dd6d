"""An issuer's keys over the wire: JWKS and discovery on loopback servers, every byte of which the test decides."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from sallyport.adapters.aws_client import AwsError
from sallyport.adapters.jwks_http import DiscoveredKeySource, HttpKeySource
from sallyport.gateway.assembly.token_keys import TokenKeys
from sallyport.identity.credentials import CredentialRefusedError
from sallyport.identity.jwks import MAX_DOCUMENT_BYTES
from sallyport.identity.tokens import TokenVerifier
from sallyport.identity.verification_keys import KeySourceError
from sallyport.policy.parameters import ConfigurationError
from tests.support.issuer import (
    EC_KEY,
    ISSUER,
    OTHER_RSA_KEY,
    RSA_KEY,
    RULES,
    claims,
    document,
    jwk,
    signed_token,
    token,
)
from tests.support.servers import Peer, Received, ScriptedServer, refused_url, serve

LOCAL = {"AWS_SAM_LOCAL": "true"}


class IssuerServer(ScriptedServer):
    """Serves documents by path, and a 404 for any other; notes what was asked for."""

    def __init__(self, documents: Mapping[str, bytes] | None = None) -> None:
        self.documents = dict(documents or {})
        self.received: list[Received] = []
        super().__init__(serve(self._answer, self.received))

    @property
    def asked(self) -> list[str]:
        return [request.target for request in self.received]

    def _answer(self, request: Received, peer: Peer) -> None:
        found = self.documents.get(request.target)
        peer.answer(404 if found is None else 200, found or b"")


@pytest.fixture
def server() -> Iterator[IssuerServer]:
    with IssuerServer({"/jwks.json": document()}) as running:
        yield running


def metadata(server: ScriptedServer, **changes: Any) -> bytes:
    return json.dumps({"issuer": ISSUER, "jwks_uri": f"{server.url}/jwks.json", **changes}).encode()


def discovered(server: IssuerServer, text: bytes, *, loopback_http: bool = True) -> bytes:
    server.documents["/.well-known/openid-configuration"] = text
    url = f"{server.url}/.well-known/openid-configuration"
    return DiscoveredKeySource(url, ISSUER, loopback_http=loopback_http).fetch()


def test_a_key_set_is_fetched_as_it_is(server: IssuerServer) -> None:
    assert HttpKeySource(f"{server.url}/jwks.json").fetch() == document()
    request = server.received[0]
    assert (request.method, request.target, request.body) == ("GET", "/jwks.json", b"")
    assert set(request.headers) == {"host", "accept", "accept-encoding"}


@contextmanager
def answering(answer: Callable[[Received, Peer], None]) -> Iterator[tuple[HttpKeySource, list[Received]]]:
    """Give a source, of little patience, whose server answers like this."""
    received: list[Received] = []
    with ScriptedServer(serve(answer, received)) as server:
        yield HttpKeySource(server.url, timeout_s=0.3), received


@pytest.mark.parametrize("status", [201, 204, 301, 302, 303, 304, 307, 308, 401, 404, 500, 503])
def test_anything_but_a_200_is_an_error_and_no_redirect_is_followed(status: int) -> None:
    with IssuerServer({"/": document()}) as elsewhere:
        with answering(lambda _, peer: peer.answer(status, b"", location=elsewhere.url)) as (source, received):
            with pytest.raises(KeySourceError, match=f"status {status}"):
                source.fetch()
            assert len(received) == 1
        assert elsewhere.connections == 0


def test_a_document_of_the_largest_size_is_taken_and_a_larger_one_is_not() -> None:
    for size, good in ((MAX_DOCUMENT_BYTES, True), (MAX_DOCUMENT_BYTES + 1, False)):
        with answering(lambda _, peer, size=size: peer.answer(200, b" " * size)) as (source, _):  # type: ignore[misc]
            if good:
                assert len(source.fetch()) == size
            else:
                with pytest.raises(KeySourceError):
                    source.fetch()


def test_a_document_without_end_is_an_error() -> None:
    def flood(_: Received, peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            peer.chunk(b" " * 65_536)

    with answering(flood) as (source, _), pytest.raises(KeySourceError):
        source.fetch()


@pytest.mark.parametrize(
    ("head", "dripped"),
    [
        (b"", b"HTTP/1.1 200 X\r\nx: " + b"y" * 1000),
        (b"HTTP/1.1 200 X\r\n", b"x: y\r\n" * 20),
        (b"HTTP/1.1 200 X\r\ncontent-length: 100000\r\n\r\n", b" " * 100),
        (b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 200 X\r\n\r\n", b" "),
    ],
    ids=["status line", "header", "body", "chunks", "body until the end"],
)
def test_an_answer_that_drips_is_an_error_in_bounded_time(head: bytes, dripped: bytes) -> None:
    def answer(_: Received, peer: Peer) -> None:
        peer.send(head)
        peer.drip(dripped)

    with answering(answer) as (source, _):
        begun_s = time.monotonic()
        with pytest.raises(KeySourceError):
            source.fetch()
        assert time.monotonic() - begun_s < 2


def test_an_issuer_that_stays_silent_is_an_error_in_bounded_time() -> None:
    with answering(lambda _, peer: peer.wait_closed()) as (source, _), pytest.raises(KeySourceError):
        source.fetch()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not HTTP\r\n\r\n",
        b"HTTP/1.1 200 X\r\ncontent-length: 50\r\n\r\n{}",
        b"HTTP/1.1 200 X\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
    ],
)
def test_an_answer_that_is_no_whole_http_is_an_error(raw: bytes) -> None:
    def answer(_: Received, peer: Peer) -> None:
        peer.send(raw)
        peer.close()

    with answering(answer) as (source, _), pytest.raises(KeySourceError):
        source.fetch()


def test_an_issuer_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeySourceError, match="NotConnectedError"):
        HttpKeySource(refused_url()).fetch()


class TestDiscovery:
    def test_the_document_says_where_the_keys_are(self, server: IssuerServer) -> None:
        assert discovered(server, metadata(server)) == document()
        assert server.asked == ["/.well-known/openid-configuration", "/jwks.json"]

    @pytest.mark.parametrize(
        "name", [ISSUER.rstrip("/"), ISSUER.upper(), ISSUER + "x", "", None, [ISSUER], {"issuer": ISSUER}]
    )
    def test_a_document_of_another_issuer_is_an_error(self, server: IssuerServer, name: Any) -> None:
        with pytest.raises(KeySourceError, match="another issuer"):
            discovered(server, metadata(server, issuer=name))
        assert "/jwks.json" not in server.asked

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"<html>",
            b"[]",
            b"7",
            b'{"issuer": "x"}',
            b"[" * 100_000,
            b'{"issuer": "https://issuer.example.com/", "issuer": "https://issuer.example.com/", "jwks_uri": "x"}',
        ],
    )
    def test_what_is_no_discovery_document_is_an_error(self, server: IssuerServer, text: bytes) -> None:
        with pytest.raises(KeySourceError):
            discovered(server, text)
        assert len(server.asked) == 1

    @pytest.mark.parametrize(
        "url",
        [
            "http://issuer.example.com/jwks.json",
            "file:///etc/passwd",
            "ftp://issuer.example.com/",
            "//issuer.example.com/",
            "/jwks.json",
            "",
            None,
            7,
            ["https://issuer.example.com/"],
            "https://issuer.example.com/jwks.json?x=y",
            "https://user@issuer.example.com/",
            "https://issuer.example.com\\@127.0.0.1/",
        ],
    )
    def test_a_url_that_is_not_gone_to_is_an_error_even_on_a_laptop(self, server: IssuerServer, url: Any) -> None:
        with pytest.raises(KeySourceError, match="a URL that isn't gone to"):
            discovered(server, metadata(server, jwks_uri=url))
        assert len(server.asked) == 1

    def test_on_lambda_a_document_cannot_have_this_machine_or_its_neighbours_called(self, server: IssuerServer) -> None:
        port = server.url.rpartition(":")[2]
        for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f000001", "127.1", "0177.0.0.1"):
            for scheme in ("http", "https"):
                text = metadata(server, jwks_uri=f"{scheme}://{host}:{port}/jwks.json")
                with pytest.raises(KeySourceError, match="a URL that isn't gone to"):
                    discovered(server, text, loopback_http=False)
        for url in ("http://127.0.0.1:9001/2018-06-01/runtime/invocation/next", "https://169.254.169.254/latest"):
            with pytest.raises(KeySourceError, match="a URL that isn't gone to"):
                discovered(server, metadata(server, jwks_uri=url), loopback_http=False)
        assert set(server.asked) == {"/.well-known/openid-configuration"}

    def test_keys_that_are_not_there_are_an_error(self, server: IssuerServer) -> None:
        with pytest.raises(KeySourceError, match="status 404"):
            discovered(server, metadata(server, jwks_uri=f"{server.url}/gone"))

    def test_both_requests_together_have_one_patience(self) -> None:
        def answer(request: Received, peer: Peer) -> None:
            if request.target == "/jwks.json":
                peer.wait_closed()
            peer.drip(b"HTTP/1.1 200 X\r\ncontent-length: 10000\r\n\r\n" + b" " * 10)

        with ScriptedServer(serve(answer, [])) as server:
            source = DiscoveredKeySource(server.url, ISSUER, loopback_http=True, timeout_s=0.3)
            begun_s = time.monotonic()
            with pytest.raises(KeySourceError):
                source.fetch()
            assert time.monotonic() - begun_s < 2


class FakeSecrets:
    """Secrets Manager, as far as a secret's text goes."""

    def __init__(self, **secrets: str) -> None:
        self.secrets = secrets
        self.asked: list[str] = []

    def call(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        assert operation == "GetSecretValue"
        self.asked.append(payload["SecretId"])
        try:
            return {"SecretString": self.secrets[payload["SecretId"].rpartition("/")[2]]}
        except KeyError:
            raise AwsError("ResourceNotFoundException") from None


class TestKeysOfAnIssuer:
    def test_a_token_is_checked_by_keys_from_the_wire(self, server: IssuerServer) -> None:
        keys = TokenKeys(LOCAL)
        rules = RULES._replace(jwks_url=f"{server.url}/jwks.json")
        verifier = TokenVerifier([rules], keys, {})
        for _ in range(3):
            assert verifier.verify(token(), time.time()).tenant == "acme"
        with pytest.raises(CredentialRefusedError, match="token_signature_wrong"):
            verifier.verify(token(key=OTHER_RSA_KEY), time.time())
        assert server.asked == ["/jwks.json"]

    def test_a_token_is_checked_by_keys_that_were_discovered(self, server: IssuerServer) -> None:
        server.documents["/.well-known/openid-configuration"] = metadata(server)
        rules = RULES._replace(jwks_url="", discovery_url=f"{server.url}/.well-known/openid-configuration")
        verifier = TokenVerifier([rules], TokenKeys(LOCAL), {})
        text = token(key=EC_KEY, algorithm="ES256", kid="ec-1")
        for _ in range(3):
            assert verifier.verify(text, time.time()).tenant == "acme"
        assert server.asked == ["/.well-known/openid-configuration", "/jwks.json"]

    def test_what_a_token_names_is_never_gone_to(self, server: IssuerServer) -> None:
        rules = RULES._replace(jwks_url=f"{server.url}/jwks.json")
        verifier = TokenVerifier([rules], TokenKeys(LOCAL), {})
        with IssuerServer({"/": document(jwk(OTHER_RSA_KEY, "evil"))}) as evil:
            for name in ("jku", "x5u", "kid"):
                text = signed_token({"alg": "RS256", "kid": "rsa-1", name: evil.url}, claims(), OTHER_RSA_KEY)
                with pytest.raises(CredentialRefusedError):
                    verifier.verify(text, time.time())
            with pytest.raises(CredentialRefusedError, match="token_issuer_unknown"):
                verifier.verify(token(claims(iss=evil.url)), time.time())
            assert evil.connections == 0
        assert server.asked == ["/jwks.json"]

    def test_an_issuer_that_is_down_lets_nobody_in(self) -> None:
        rules = RULES._replace(jwks_url=refused_url())
        verifier = TokenVerifier([rules], TokenKeys(LOCAL), {})
        for _ in range(3):
            with pytest.raises(KeySourceError):
                verifier.verify(token(), time.time())

    def test_keys_outlive_a_change_of_all_but_where_they_come_from(self) -> None:
        keys = TokenKeys({})
        first = keys(RULES)
        assert keys(RULES._replace(audiences=("x",), leeway_s=0, tenants=("acme",))) is first
        assert keys(RULES._replace(jwks_url="https://issuer.example.com/other")) is not first
        assert keys(RULES._replace(issuer="https://other.example.com/")) is not first

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:9001/", "http://localhost/", "http://[::1]/", "http://example.com/"]
    )
    def test_outside_a_laptop_plain_http_is_refused(self, url: str) -> None:
        for environ in ({}, {"AWS_SAM_LOCAL": ""}, {"AWS_SAM_LOCAL": "false"}):
            with pytest.raises(ConfigurationError, match="must begin with https"):
                TokenKeys(environ)(RULES._replace(jwks_url=url))
            with pytest.raises(ConfigurationError, match="must begin with https"):
                TokenKeys(environ)(RULES._replace(jwks_url="", discovery_url=url))

    def test_an_issuer_without_keys_is_refused(self) -> None:
        with pytest.raises(ConfigurationError):
            TokenKeys(LOCAL)(RULES._replace(jwks_url=""))

    def test_a_shared_secret_is_read_under_the_stack_s_own_name_and_once(self) -> None:
        secrets = FakeSecrets(login="a-secret-that-is-longer-than-its-hash")
        rules = RULES._replace(jwks_url="", hmac_secret="login", algorithms=("HS256",))
        verifier = TokenVerifier([rules], TokenKeys({"SALLYPORT_STACK": "prod"}, secrets), {})
        for subject in ("alice", "bob"):
            text = token(claims(sub=subject), key=b"a-secret-that-is-longer-than-its-hash", algorithm="HS256")
            assert verifier.verify(text, time.time()).subject == subject
        with pytest.raises(CredentialRefusedError, match="token_algorithm_refused"):
            verifier.verify(token(key=RSA_KEY), time.time())
        assert secrets.asked == ["prod/identity/login"]

    @pytest.mark.parametrize("secret", [{}, {"login": "too short"}, {"login": ""}])
    def test_a_secret_that_is_missing_or_short_lets_nobody_in(self, secret: dict[str, str]) -> None:
        rules = RULES._replace(jwks_url="", hmac_secret="login", algorithms=("HS256",))
        secrets = FakeSecrets(**secret)
        verifier = TokenVerifier([rules], TokenKeys({"SALLYPORT_STACK": "prod"}, secrets), {})
        for _ in range(3):
            with pytest.raises(KeySourceError):
                verifier.verify(token(key=b"too short", algorithm="HS256"), time.time())
        assert len(secrets.asked) == 1

    def test_a_shared_secret_needs_a_stack(self) -> None:
        rules = RULES._replace(jwks_url="", hmac_secret="login", algorithms=("HS256",))
        with pytest.raises(ConfigurationError, match="SALLYPORT_STACK"):
            TokenKeys({})(rules)

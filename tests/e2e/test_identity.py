"""Who calls, and from where, against a whole `sallyport local`: real issuers on loopback, every attack with a name."""

import base64
import hashlib
import hmac
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sallyport_cli.key_items import KeyGrant, create_key
from sallyport_cli.local.emulated_data import emulator_clients
from tests.support import issuer
from tests.support.aws import ROOT
from tests.support.issuer import AUDIENCE, EC_KEY, OTHER_RSA_KEY, RSA_KEY, SHORT_RSA_KEY, claims, jwk
from tests.support.local_stack import LocalStack
from tests.support.servers import Peer, Received, ScriptedServer, serve

pytestmark = pytest.mark.e2e

CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hello"}]}
ANSWER = b'{"id": "chatcmpl-1", "choices": []}'
ORIGIN_SECRET = "origin-secret-0123456789abcdef"
DENIED, OUTSIDE = "203.0.113.9", "198.51.100.9"
SECRET_BYTES = b"0123456789abcdef0123456789abcdef"


class Issuer:
    """An OpenID provider on loopback: its configuration, its keys, and what was asked of it."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys = keys
        self.received: list[Received] = []
        self.server = ScriptedServer(serve(self._answer, self.received))

    @property
    def url(self) -> str:
        return self.server.url

    def token(self, payload: dict[str, Any] | None = None, **options: Any) -> str:
        return issuer.token(claims(iss=self.url) if payload is None else payload, **options)

    def _answer(self, request: Received, peer: Peer) -> None:
        if request.target == "/.well-known/openid-configuration":
            peer.answer(200, json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks.json"}).encode())
        else:
            peer.answer(200, issuer.document(*self.keys))


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def code(self) -> str:
        return str(json.loads(self.text)["error"]["code"])


type Field = tuple[bytes, bytes]


def send(stack: LocalStack, headers: Sequence[Field]) -> Answer:
    """Send a chat over a socket, so that header lines go out as they are."""
    body = json.dumps(CHAT).encode()
    lines = [(b"Host", b"gateway"), (b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body))]
    fields = b"".join(b"%s: %s\r\n" % field for field in [*lines, *headers])
    address = urlsplit(stack.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=30) as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n%sConnection: close\r\n\r\n%s" % (fields, body))
        response = http.client.HTTPResponse(connection)
        response.begin()
        text = response.read().decode()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)


class World:
    """The gateway with its upstream and its issuers."""

    def __init__(self, stack: LocalStack, upstream: list[Received], first: Issuer, second: Issuer) -> None:
        self.stack = stack
        self.upstream = upstream
        self.first = first
        self.second = second
        self.key = stack.key

    def send(self, headers: Sequence[Field]) -> Answer:
        """Send a chat with exactly these header lines beside what HTTP needs."""
        return send(self.stack, headers)

    def bearer(self, token: str, *more: Field) -> Answer:
        return self.send([(b"Authorization", b"Bearer " + token.encode("latin-1")), *more])

    def audit_lines(self, request_id: str) -> list[dict[str, Any]]:
        """Give the authorizer's lines about a request, once the first has come: functions print beside answering."""
        wait_for(lambda: self._find_audit_lines(request_id))
        return self._find_audit_lines(request_id)

    def _find_audit_lines(self, request_id: str) -> list[dict[str, Any]]:
        found = []
        for line in self.stack.printed.splitlines():
            _, bar, text = line.partition(" | ")
            if bar and request_id in text and '"authorization"' in text:
                found.append(json.loads(text))
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    received: list[Received] = []
    answer = serve(lambda _, peer: peer.answer(200, ANSWER, content_type="application/json"), received)
    first = Issuer(
        jwk(RSA_KEY, "rsa-1"),
        jwk(EC_KEY, "ec-1", alg="ES384"),
        jwk(SHORT_RSA_KEY, "short-1"),
        jwk(RSA_KEY, "twice"),
        jwk(OTHER_RSA_KEY, "twice"),
        {"kty": "oct", "kid": "oct-1", "k": base64.urlsafe_b64encode(SECRET_BYTES).decode().rstrip("=")},
    )
    second = Issuer(jwk(OTHER_RSA_KEY, "rsa-1"))
    with ExitStack() as cleanup:
        upstream = cleanup.enter_context(ScriptedServer(answer))
        for provider in (first, second):
            cleanup.enter_context(provider.server)
        policy = tmp_path_factory.mktemp("identity") / "policy.yaml"
        policy.write_text(document(first, second))
        stack = cleanup.enter_context(
            LocalStack(
                *("--policy", str(policy), "--upstream", f"{upstream.url}/v1", "--verbose"),
                *("--secret", f"identity/origin={ORIGIN_SECRET}"),
                *("--parameter", "RequestsPerMinute=100000", "--parameter", "FailedCredentialsPerMinute=100000"),
            )
        )
        yield World(stack, received, first, second)


def document(first: Issuer, second: Issuer) -> str:
    """Give the policy: two issuers, the first for every tenant, the second for its own; a proxy on this machine."""
    rules = {"audiences": [AUDIENCE], "algorithms": ["RS256", "ES256", "PS256"], "claims": {"tenant": "tenant"}}
    return json.dumps({
        "version": 1,
        "identity": {
            "issuers": [
                {"issuer": first.url, **rules},
                {"issuer": second.url, **rules, "tenants": ["globex"], "token_type": "at+jwt"},
            ]
        },
        "access": {
            "deny": ["203.0.113.0/24"],
            "trusted_proxies": ["127.0.0.0/8"],
            "origin_secret": "origin",
            "countries": {"deny": ["KP"]},
        },
        "tenants": {
            "initech": {"suspended": True},
            "walled": {"allow": ["198.51.100.0/28"]},
            "narrow": {"models": ["gpt-b"]},
        },
    })  # fmt: skip


def make_key(world: World, tenant: str, **grant: Any) -> str:
    dynamodb, _ = emulator_clients(world.stack.emulator_url, "us-east-1")
    return create_key(dynamodb, "ConfigTable", KeyGrant(tenant=tenant, name="test", **grant)).text


def from_address(address: str, country: str = "") -> list[Field]:
    """Give the headers of a request that came through the trusted proxy."""
    headers = [(b"X-Forwarded-For", address.encode()), (b"x-origin-verify", ORIGIN_SECRET.encode())]
    return [*headers, (b"CloudFront-Viewer-Country", country.encode())] if country else headers


def test_a_token_of_each_issuer_is_let_in_with_keys_found_by_discovery(world: World) -> None:
    assert world.bearer(world.first.token()).status == 200
    other = claims(iss=world.second.url, tenant="globex")
    assert world.bearer(issuer.token(other, key=OTHER_RSA_KEY, typ="at+jwt")).status == 200
    assert [request.target for request in world.second.received] == ["/.well-known/openid-configuration", "/jwks.json"]


def test_an_anthropic_style_header_and_any_case_of_it_do(world: World) -> None:
    for name in (b"x-api-key", b"X-API-KEY", b"Api-Key", b"API-KEY"):
        assert world.send([(name, world.key.encode())]).status == 200
    assert world.send([(b"AUTHORIZATION", b"bearer " + world.key.encode())]).status == 200


def b64(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def unsigned(world: World, algorithm: str) -> str:
    return f"{b64({'alg': algorithm, 'kid': 'rsa-1'})}.{b64(claims(iss=world.first.url))}."


def by_hmac(world: World, secret: bytes, kid: str) -> str:
    signed = f"{b64({'alg': 'HS256', 'kid': kid})}.{b64(claims(iss=world.first.url))}"
    return f"{signed}.{b64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def raw_claims(world: World, text: str) -> str:
    """Sign claims that are written by hand."""
    good = json.dumps(claims(iss=world.first.url, exp=None))[:-1]
    signed = f"{b64({'alg': 'RS256', 'kid': 'rsa-1'})}.{b64((good + text + '}').encode())}"
    from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415 - for this alone

    signature = RSAAlgorithm(RSAAlgorithm.SHA256).sign(signed.encode(), RSA_KEY)
    return f"{signed}.{b64(signature)}"


def padded(token: str) -> str:
    return token + "=" * (-len(token.rpartition(".")[2]) % 4 or 4)


def not_canonical(token: str) -> str:
    """Change the last character in bits that no byte holds: other decoders read the same signature."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


PUBLIC_PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
ATTACKS: dict[str, Any] = {
    "alg none": lambda w: unsigned(w, "none"),
    "alg None": lambda w: unsigned(w, "None"),
    "alg NONE": lambda w: unsigned(w, "NONE"),
    "alg empty": lambda w: unsigned(w, ""),
    "key confusion": lambda w: by_hmac(w, PUBLIC_PEM, "rsa-1"),
    "a symmetric key in the key set": lambda w: by_hmac(w, SECRET_BYTES, "oct-1"),
    "the key is for another algorithm": lambda w: w.first.token(key=EC_KEY, algorithm="ES256", kid="ec-1"),
    "a kid that stands twice": lambda w: w.first.token(kid="twice"),
    "a short key": lambda w: w.first.token(key=SHORT_RSA_KEY, kid="short-1"),
    "unknown crit": lambda w: w.first.token(crit=["exp"]),
    "b64 false": lambda w: w.first.token(crit=["b64"]),
    "embedded jwk": lambda w: w.first.token(key=OTHER_RSA_KEY, jwk=jwk(OTHER_RSA_KEY, "rsa-1")),
    "embedded jku": lambda w: w.first.token(key=OTHER_RSA_KEY, kid="rsa-2", jku=f"{w.second.url}/jwks.json"),
    "kid as path": lambda w: w.first.token(kid="../../../../dev/null"),
    "kid as URL": lambda w: w.first.token(kid="http://127.0.0.1:9/key.pem"),
    "kid as SQL": lambda w: w.first.token(kid="' UNION SELECT 'key"),
    "kid of 5 kB": lambda w: w.first.token(kid="k" * 5_000),
    "no kid": lambda w: w.first.token(kid=None),
    "signed by the other issuer's key": lambda w: w.first.token(key=OTHER_RSA_KEY),
    "an issuer for a tenant that is not its own": lambda w: issuer.token(
        claims(iss=w.second.url, tenant="acme"), key=OTHER_RSA_KEY, typ="at+jwt"
    ),
    "a type that is not the issuer's": lambda w: issuer.token(
        claims(iss=w.second.url, tenant="globex"), key=OTHER_RSA_KEY, typ="JWT"
    ),
    "an issuer nobody knows": lambda w: issuer.token(claims(iss="https://evil.example.com/")),
    "an issuer with a slash more": lambda w: issuer.token(claims(iss=w.first.url + "/")),
    "no issuer": lambda w: issuer.token(claims(iss=None)),
    "expired": lambda w: w.first.token(claims(iss=w.first.url, exp=int(time.time()) - 60)),
    "exp as a string": lambda w: raw_claims(w, ', "exp": "2000000000"'),
    "exp NaN": lambda w: raw_claims(w, ', "exp": NaN'),
    "exp Infinity": lambda w: raw_claims(w, ', "exp": Infinity'),
    "exp 1e400": lambda w: raw_claims(w, ', "exp": 1e400'),
    "exp true": lambda w: raw_claims(w, ', "exp": true'),
    "exp twice": lambda w: raw_claims(w, ', "exp": 1, "exp": 2000000000'),
    "no exp": lambda w: raw_claims(w, ""),
    "not yet": lambda w: w.first.token(claims(iss=w.first.url, nbf=int(time.time()) + 600)),
    "issued in the future": lambda w: w.first.token(claims(iss=w.first.url, iat=int(time.time()) + 600)),
    "another audience": lambda w: w.first.token(claims(iss=w.first.url, aud="https://other.example.com")),
    "an audience inside a list inside a list": lambda w: w.first.token(claims(iss=w.first.url, aud=[[AUDIENCE]])),
    "an audience that begins like it": lambda w: w.first.token(claims(iss=w.first.url, aud=AUDIENCE + ".evil")),
    "no audience": lambda w: w.first.token(claims(iss=w.first.url, aud=None)),
    "an empty list of audiences": lambda w: w.first.token(claims(iss=w.first.url, aud=[])),
    "padded": lambda w: padded(w.first.token()),
    "not canonical": lambda w: not_canonical(w.first.token()),
    "cut short": lambda w: w.first.token()[:-5],
    "two parts": lambda w: w.first.token().rpartition(".")[0],
    "five parts": lambda w: w.first.token() + ".a.b",
    "no tenant": lambda w: w.first.token(claims(iss=w.first.url, tenant=None)),
    "a tenant that is no name": lambda w: w.first.token(claims(iss=w.first.url, tenant="a/../b")),
    "an unknown key": lambda _: "sp_0123456789ABCDEF_" + "0" * 43 + "0000000",
    "a key with a typo": lambda w: w.key[:30] + ("a" if w.key[30] != "a" else "b") + w.key[31:],
    "an empty credential": lambda _: "",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_a_401_that_tells_nothing(world: World, attack: str) -> None:
    token = ATTACKS[attack](world)
    assert world.bearer(world.first.token()).status == 200
    before, fetches = len(world.upstream), len(world.second.received)
    answer = world.bearer(token)
    assert (answer.status, answer.code) == (401, "invalid_credentials")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert len(world.upstream) == before
    assert len(world.second.received) - fetches <= 2  # its discovery and its keys, if it was never asked before
    (line,) = world.audit_lines(answer.headers["x-request-id"])
    assert (line["decision"], bool(line["reason"])) == ("unauthorized", True)
    for secret in filter(None, [token[10:], *token.split(".")[1:]]):
        assert len(secret) < 12 or secret not in answer.text + world.stack.printed


def test_a_kid_of_10_kb_does_not_pass_the_gateway_s_own_limit(world: World) -> None:
    before = len(world.upstream)
    assert world.bearer(world.first.token(kid="k" * 10_000)).status == 431
    assert len(world.upstream) == before


def test_a_token_with_a_good_one_s_beginning_is_not_it(world: World) -> None:
    token = world.first.token()
    assert world.bearer(token).status == 200
    assert world.bearer(token[:-1] + ("A" if token[-1] != "A" else "B")).status == 401
    assert world.bearer(token).status == 200


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "no_credential"),
        ([(b"Authorization", b"Bearer {key}"), (b"Authorization", b"Bearer sp_other")], "several_credentials"),
        ([(b"Authorization", b"Bearer {key}"), (b"x-api-key", b"other")], "several_credentials"),
        ([(b"Authorization", b"Bearer \xff\xfe{key}")], "credential_malformed"),
        ([(b"Authorization", b"Bearer {key} extra")], "authorization_malformed"),
        ([(b"Authorization", b"Basic {key}")], "authorization_malformed"),
        ([(b"Authorization", b"{key}")], "authorization_malformed"),
        ([(b"x-tenant", b"acme"), (b"x-sallyport-tenant", b"acme"), (b"x-amzn-oidc-identity", b"a")], "no_credential"),
    ],
)
def test_a_header_that_is_no_one_credential_is_a_401(world: World, headers: list[Field], reason: str) -> None:
    before = len(world.upstream)
    answer = world.send([(name, value.replace(b"{key}", world.key.encode())) for name, value in headers])
    assert (answer.status, answer.code) == (401, "invalid_credentials")
    (line,) = world.audit_lines(answer.headers["x-request-id"])
    assert line["reason"] == reason
    assert len(world.upstream) == before
    assert world.key[25:] not in "".join(text for text in world.stack.printed.splitlines() if '"authorization"' in text)


def test_identity_headers_of_a_client_change_nothing_and_go_nowhere(world: World) -> None:
    spoofed = [(b"x-tenant", b"globex"), (b"x-sallyport-tenant", b"globex"), (b"x-origin-verify", b"guess-guess-guess")]
    answer = world.send([(b"Authorization", b"Bearer " + world.key.encode()), *spoofed])
    assert answer.status == 200
    (line,) = world.audit_lines(answer.headers["x-request-id"])
    assert (line["tenant"], line["source_ip"]) == ("demo", "127.0.0.1")
    forwarded = world.upstream[-1].headers
    assert not {"x-tenant", "x-sallyport-tenant", "x-origin-verify", "x-forwarded-for"} & set(forwarded)


@pytest.mark.parametrize(
    ("address", "country", "code"),
    [
        (DENIED, "", "ip_denied"),
        (f"::ffff:{DENIED}", "", "ip_denied"),
        (f"{OUTSIDE}, {DENIED}", "", "ip_denied"),
        (f"{OUTSIDE}, {DENIED}, 127.0.0.2", "", "ip_denied"),
        (f"{DENIED}, {OUTSIDE}", "", ""),
        ("not an address", "", "ip_denied"),
        (OUTSIDE, "KP", "country_denied"),
        (OUTSIDE, "DE", ""),
    ],
)
def test_behind_the_proxy_the_rightmost_foreign_address_counts(
    world: World, address: str, country: str, code: str
) -> None:
    before = len(world.upstream)
    answer = world.send([(b"x-api-key", world.key.encode()), *from_address(address, country)])
    assert (answer.status, answer.code if code else "") == (403 if code else 200, code)
    assert len(world.upstream) - before == (0 if code else 1)
    (line,) = world.audit_lines(answer.headers["x-request-id"])
    assert line["decision"] == ("denied" if code else "allowed")
    assert ORIGIN_SECRET not in answer.text + world.stack.printed


@pytest.mark.parametrize("secret", [b"", b"wrong-wrong-wrong-wrong", ORIGIN_SECRET[:-1].encode()])
def test_without_the_origin_secret_a_forwarded_address_counts_for_nothing(world: World, secret: bytes) -> None:
    spoofed = [(b"X-Forwarded-For", DENIED.encode()), (b"x-origin-verify", secret)]
    answer = world.send([(b"x-api-key", world.key.encode()), *spoofed, (b"CloudFront-Viewer-Country", b"KP")])
    assert answer.status == 200
    (line,) = world.audit_lines(answer.headers["x-request-id"])
    assert line["source_ip"] == "127.0.0.1"
    assert "country" not in line


def test_a_tenant_s_and_a_key_s_own_addresses(world: World) -> None:
    walled, listed = make_key(world, "walled"), make_key(world, "acme", allow=["198.51.100.0/28"])
    for key in (walled, listed):
        assert world.send([(b"x-api-key", key.encode()), *from_address("198.51.100.3")]).status == 200
        answer = world.send([(b"x-api-key", key.encode()), *from_address("198.51.100.99")])
        assert (answer.status, answer.code) == (403, "ip_denied")


def test_a_suspended_tenant(world: World) -> None:
    answer = world.bearer(make_key(world, "initech"))
    assert (answer.status, answer.code) == (403, "tenant_suspended")
    assert answer.headers["x-should-retry"] == "false"


def test_a_scope_or_model_that_is_not_the_caller_s(world: World) -> None:
    answer = world.bearer(make_key(world, "acme", scopes="models"))
    assert (answer.status, answer.code) == (403, "insufficient_scope")
    assert "www-authenticate" not in answer.headers
    answer = world.bearer(make_key(world, "narrow"))
    assert (answer.status, answer.code) == (403, "model_not_allowed")


def test_a_policy_that_changes_on_disk_is_in_force_without_a_restart(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\n")
    with LocalStack("--policy", str(policy)) as stack:
        key = [(b"x-api-key", stack.key.encode())]
        assert send(stack, key).status == 200
        policy.write_text("version: 1\naccess: {deny: [127.0.0.1]}\n")
        wait_for(lambda: settled(stack, key, 403))
        policy.write_text("version: 1\naccess: {deny: [127.0.0.256]}\n")
        wait_for(lambda: "127.0.0.256" in stack.printed)
        assert send(stack, key).status == 403
        policy.write_text("version: 1\n")
        wait_for(lambda: settled(stack, key, 200))


def test_a_network_parameter_that_is_none_ends_the_start_with_its_name_and_reason() -> None:
    command = [sys.executable, "-m", "sallyport_cli.main", "local", "--port", "0", "--parameter"]
    done = subprocess.run([*command, "IpDenyList=127.0.0.1/8"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: Parameters.IpDenyList: '127.0.0.1/8': has bits set after its prefix")


def settled(stack: LocalStack, headers: Sequence[Field], status: int) -> bool:
    """Say whether every answer has this status, for longer than a process may keep to its last policy (a second)."""
    ends_s = time.monotonic() + 1.5
    while time.monotonic() < ends_s:
        if send(stack, headers).status != status:
            return False
    return True


def wait_for(happened: Any) -> None:
    deadline_s = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline_s

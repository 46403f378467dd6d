"""The first door: the address, then the credential, then the tenant's rules; the answer covers the whole API.

API Gateway turns what is given here into three answers only: Allow; Deny, a 403 whose code is in the context; an error
that reads exactly `Unauthorized`, a 401. Any other error becomes a 503: nobody comes in while the door can't judge.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from sallyport.access.decision import AccessLists
from sallyport.access.source import FORWARDED_HEADER, UNREADABLE_COUNTRY, Source, SourceUnreadableError
from sallyport.gateway.deadline import Deadline
from sallyport.gateway.door import Door, Verifier
from sallyport.identity.credentials import Credential, CredentialRefusedError, find_credential
from sallyport.identity.principal import Identity, Principal, to_context
from sallyport.observability.log import Failure, Logger
from sallyport.policy.rules import TenantRules
from sallyport.runtime.errors import InvocationRefused

MESSAGES = {
    "ip_denied": "Requests from this address are not allowed.",
    "country_denied": "Requests from this country are not allowed.",
    "tenant_suspended": "This tenant is suspended.",
}
"""Every code of a 403 that the authorizer gives, and what its client reads."""

DEFAULT_TIMEOUT_MS = 10_000
"""Of a runtime that doesn't say how much time is left."""


class Policy(Protocol):
    """The policy in force; `policy.current.CurrentPolicy` is."""

    def get(self) -> Door:
        """Give what is in force. Raises where nothing is."""

    def refresh_early(self) -> None:
        """Look for a newer one while nobody waits."""


class Failures(Protocol):
    """Counts failed credentials by address; `gateway.failed_credentials.FailedCredentials` does."""

    def refuses(self, version: int, number: int) -> bool:
        """Say from memory whether this address has failed too often."""

    def count(self, version: int, number: int) -> None:
        """Count a failure."""


class UseRecorder(Protocol):
    """Keeps when a key was last used; `identity.last_used.LastUsed` does."""

    def note(self, key_id: str, now_s: float) -> None:
        """Note a use. Never raises."""


class Rooms(NamedTuple):
    """What the authorizer asks, made once per process."""

    policy: Policy
    failures: Failures
    uses: UseRecorder
    logger: Logger
    deadline: Deadline


class DeniedError(Exception):
    """A 403: `code` is of `MESSAGES`, `reason` goes to the log alone."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Authorizer:
    """Serves the authorizer's events (AWS: "Input to an API Gateway Lambda authorizer", type REQUEST)."""

    def __init__(self, rooms: Rooms, now: Callable[[], float] = time.time) -> None:
        self._rooms = rooms
        self._now = now

    def __call__(self, event: Mapping[str, Any], context: object) -> dict[str, Any]:
        """Decide on one request. Raises `InvocationRefused("Unauthorized")`; any other error is a 503."""
        begun_s = time.perf_counter()
        self._rooms.deadline.begin(_remaining_s(context))
        line: dict[str, Any] = {"request_id": str((event.get("requestContext") or {}).get("requestId", ""))}
        try:
            return self._answer(event, line, context)
        except CredentialRefusedError as refusal:
            line |= {"decision": "unauthorized", "reason": refusal.reason, "key_id": refusal.key_id}
            raise InvocationRefused("Unauthorized") from None
        except Exception as error:
            failure = Failure.of(error)
            line |= {"decision": "failed", "reason": failure.type, "failure_at": failure.location}
            line["detail"] = getattr(error, "detail", None)
            self._rooms.logger.metric("AuthorizerFailure", 1)
            raise
        finally:
            logger = self._rooms.logger
            write = logger.error if line.get("decision") == "failed" else logger.info
            write("authorization", **line, duration_ms=round((time.perf_counter() - begun_s) * 1000, 1))
            _after_response(context, self._refresh_policy)

    def _refresh_policy(self) -> None:
        if self._rooms.deadline.left_s() > 0:
            self._rooms.policy.refresh_early()

    def _answer(self, event: Mapping[str, Any], line: dict[str, Any], context: object) -> dict[str, Any]:
        try:
            principal = self._decide(event, line)
        except DeniedError as denial:
            line |= {"decision": "denied", "code": denial.code, "reason": denial.reason}
            known = {name: line[name] for name in ("tenant", "key_id") if line.get(name)}
            denied = {"code": denial.code, "message": MESSAGES[denial.code], **known}
            return _policy("Deny", event["methodArn"], "denied", denied)
        context_told = _context(principal)
        answer = _policy("Allow", event["methodArn"], principal.tenant, context_told)
        line["decision"] = "allowed"
        if principal.claims and "claims" not in context_told:
            line["claims_left_out"] = True
        if principal.key_id:
            _after_response(context, lambda: self._rooms.uses.note(principal.key_id, self._now()))
        return answer

    def _decide(self, event: Mapping[str, Any], line: dict[str, Any]) -> Principal:
        """Global lists before the credential, the tenant's and the key's own after it."""
        door = self._rooms.policy.get()
        line["policy_version"] = door.rules.version
        headers = _headers(event)
        source = _read_source(door, event, headers, line)
        if refusal := door.access.refusal(source):
            raise DeniedError(refusal.code, refusal.reason)
        identity = self._identify(door, headers, source)
        line |= {"tenant": identity.tenant, "subject": identity.subject, "auth": identity.method}
        line["key_id"] = identity.key_id
        tenant = door.rules.tenants.get(identity.tenant) or TenantRules()
        _check_tenant(door, tenant, identity, source)
        return _principal(door, tenant, identity, source)

    def _identify(self, door: Door, headers: Mapping[str, list[str]], source: Source) -> Identity:
        """Verify the credential; an address that failed too often is heard only with one that was good just now."""
        failures = self._rooms.failures
        blocked = failures.refuses(source.version, source.number)
        try:
            credential = find_credential(headers)
            verifier = _verifier(door, credential)
            identity = (verifier.verify_known if blocked else verifier.verify)(credential.text, self._now())
        except CredentialRefusedError as refusal:
            if not blocked and refusal.reason != "no_credential":
                failures.count(source.version, source.number)
            raise
        if identity is None:
            raise CredentialRefusedError("too_many_failures")
        return identity


def _read_source(
    door: Door, event: Mapping[str, Any], headers: Mapping[str, list[str]], line: dict[str, Any]
) -> Source:
    connected = str(event["requestContext"]["identity"]["sourceIp"])
    line["source_ip"] = connected
    try:
        source = door.sources.read(connected, headers)
    except SourceUnreadableError as error:
        raise DeniedError("ip_denied", error.reason) from None
    if source.address != connected:
        line |= {"source_ip": source.address, "proxy_ip": connected}
    line["country"] = source.country or None
    return source


def _verifier(door: Door, credential: Credential) -> Verifier:
    verifier = door.api_keys if credential.method == "api_key" else door.tokens
    if verifier is None:
        raise CredentialRefusedError(f"{credential.method}_not_accepted")
    return verifier


def _check_tenant(door: Door, tenant: TenantRules, identity: Identity, source: Source) -> None:
    if tenant.suspended:
        raise DeniedError("tenant_suspended", "tenant_suspended")
    lists = door.tenant_access(identity.tenant)
    if lists is not None and (refusal := lists.refusal(source)):
        raise DeniedError(refusal.code, f"tenant_{refusal.reason}")
    if identity.allow and (refusal := _key_access(door, identity).refusal(source)):
        raise DeniedError(refusal.code, f"key_{refusal.reason}")


def _key_access(door: Door, identity: Identity) -> AccessLists:
    try:
        return door.key_access(identity.allow)
    except ValueError:
        raise CredentialRefusedError("key_record_broken", key_id=identity.key_id) from None


def _principal(door: Door, tenant: TenantRules, identity: Identity, source: Source) -> Principal:
    residency = _both(tenant.residency, identity.residency)
    return Principal(
        method=identity.method,
        tenant=identity.tenant,
        subject=identity.subject,
        key_id=identity.key_id,
        scopes=identity.scopes,
        models=_both(tenant.models, identity.models),
        residency=door.rules.default_residency if residency is None else residency,
        limits=identity.limits,
        key_family=identity.key_family,
        source_ip=source.address,
        country="" if source.country == UNREADABLE_COUNTRY else source.country,
        claims=identity.claims,
    )


def _context(principal: Principal) -> dict[str, str]:
    try:
        return to_context(principal)
    except ValueError:
        raise CredentialRefusedError("context_too_large", key_id=principal.key_id) from None


def _both(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Give what both allow; None allows everything. What only one of them names is allowed to nobody."""
    if one is None or other is None:
        return other if one is None else one
    return tuple(name for name in other if name in one)


def _headers(event: Mapping[str, Any]) -> dict[str, list[str]]:
    """Give the headers by lower-case name; API Gateway lists one that came in two spellings under both."""
    headers: dict[str, list[str]] = {}
    for name, values in (event.get("multiValueHeaders") or {}).items():
        if name.lower() == FORWARDED_HEADER and FORWARDED_HEADER in headers:
            values = ["spelt in two ways, and so in no known order"]  # noqa: PLW2901 - nobody reads an address in it
        headers.setdefault(name.lower(), []).extend(values if isinstance(values, list) else [values])
    return headers


def _remaining_s(context: object) -> float:
    remaining_ms: int = getattr(context, "get_remaining_time_in_millis", lambda: DEFAULT_TIMEOUT_MS)()
    return remaining_ms / 1000


def _after_response(context: object, task: Callable[[], None]) -> None:
    """Have a task run when nobody waits for it; at once where the runtime isn't ours and has no such time."""
    register = getattr(context, "after_response", None)
    if register is None:
        task()
    else:
        register(task)


def _policy(effect: str, method_arn: str, principal_id: str, context: Mapping[str, str]) -> dict[str, Any]:
    """Give API Gateway's answer, for every method and path of the stage that `method_arn` belongs to."""
    api, stage = method_arn.split("/")[:2]
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": f"{api}/{stage}/*"}
    return {
        "principalId": principal_id,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": dict(context),
    }

"""The first door: the address, then the credential; the answer covers the whole API.

API Gateway turns what is given here into three answers only: Allow; Deny, a 403 whose code is in the context; an error
that reads exactly `Unauthorized`, a 401. Any other error becomes a 503: nobody comes in while the door can't judge.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from sallyport.access.decision import AccessLists
from sallyport.identity.api_keys import ApiKeyVerifier
from sallyport.identity.credentials import CredentialRefusedError, find_credential
from sallyport.identity.principal import Principal, to_context
from sallyport.observability.log import Failure, Logger
from sallyport.runtime.errors import InvocationRefused


class JwtVerifier(Protocol):
    """Checks JWTs; `identity.tokens` does, which is loaded only where an issuer is configured."""

    def verify(self, token: str) -> Principal:
        """Give the token's principal. Raises `CredentialRefusedError`; any other error lets nobody in."""


class Verifiers(NamedTuple):
    """The kinds of credential that are accepted; None: that kind isn't."""

    api_key: ApiKeyVerifier | None
    jwt: JwtVerifier | None


class Authorizer:
    """Serves the authorizer's events (AWS: "Input to an API Gateway Lambda authorizer", type REQUEST)."""

    def __init__(
        self,
        access: AccessLists,
        verifiers: Verifiers,
        logger: Logger,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._access = access
        self._verifiers = verifiers
        self._logger = logger
        self._now = now

    def __call__(self, event: Mapping[str, Any], context: object) -> dict[str, Any]:
        """Decide on one request. Raises `InvocationRefused("Unauthorized")`; any other error is a 503."""
        del context
        begun_s = time.perf_counter()
        identity = event["requestContext"]["identity"]
        line = {"request_id": str(event["requestContext"].get("requestId", "")), "source_ip": str(identity["sourceIp"])}
        try:
            answer = self._decide(event, line)
        except CredentialRefusedError as refusal:
            line |= {"decision": "unauthorized", "reason": refusal.reason, "key_id": refusal.key_id}
            raise InvocationRefused("Unauthorized") from None
        except Exception as error:
            failure = Failure.of(error)
            line |= {"decision": "failed", "reason": failure.type, "failure_at": failure.location}
            self._logger.metric("AuthorizerFailure", 1)
            raise
        finally:
            write = self._logger.error if line.get("decision") == "failed" else self._logger.info
            write("authorization", **line, duration_ms=round((time.perf_counter() - begun_s) * 1000, 1))
        return answer

    def _decide(self, event: Mapping[str, Any], line: dict[str, str]) -> dict[str, Any]:
        refusal = self._access.refusal(line["source_ip"])
        if refusal is not None:
            line |= {"decision": "denied", "reason": refusal, "code": "ip_denied"}
            return _policy("Deny", event["methodArn"], "denied", _IP_DENIED)
        principal = self._verify(event)
        line |= {"decision": "allowed", "tenant": principal.tenant, "subject": principal.subject}
        line |= {"auth": principal.method, "key_id": principal.key_id}
        return _policy("Allow", event["methodArn"], principal.tenant, to_context(principal))

    def _verify(self, event: Mapping[str, Any]) -> Principal:
        credential = find_credential(_headers(event))
        if credential.method == "api_key" and self._verifiers.api_key is not None:
            return self._verifiers.api_key.verify(credential.text, self._now())
        if credential.method == "jwt" and self._verifiers.jwt is not None:
            return self._verifiers.jwt.verify(credential.text)
        raise CredentialRefusedError(f"{credential.method}_not_accepted")


def _headers(event: Mapping[str, Any]) -> dict[str, list[str]]:
    """Give the headers by lower-case name; API Gateway lists one that came in two spellings under both."""
    headers: dict[str, list[str]] = {}
    for name, values in (event.get("multiValueHeaders") or {}).items():
        headers.setdefault(name.lower(), []).extend(values)
    return headers


_IP_DENIED = {"code": "ip_denied", "message": "Requests from this address are not allowed."}


def _policy(effect: str, method_arn: str, principal_id: str, context: Mapping[str, str]) -> dict[str, Any]:
    """Give API Gateway's answer, for every method and path of the stage that `method_arn` belongs to."""
    api, stage = method_arn.split("/")[:2]
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": f"{api}/{stage}/*"}
    return {
        "principalId": principal_id,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": dict(context),
    }

"""Signs what goes to Bedrock with the function's own role: it has no other credential."""

import time
from collections.abc import Callable, Mapping

from sallyport.adapters.sigv4 import Credentials, Signer
from sallyport.providers.transport import UpstreamRequest

SERVICE = "bedrock"
"""What signatures for `bedrock-runtime` name as their service."""

_SIGNED = ("content-type",)
"""Beside the host, the date and the session token. What a proxy on the way may change isn't signed."""


class BedrockSigner:
    """Signs requests to one host in one region."""

    def __init__(
        self, environ: Mapping[str, str], region: str, host: str, now: Callable[[], float] = time.time
    ) -> None:
        """Read the role's credentials from Lambda's environment. Raises `ValueError` if one is missing.

        `region` is the upstream's, not the function's; `host` is the authority of its URL.
        """
        self._signer = Signer(Credentials.from_environ(environ), region, SERVICE, host)
        self._now = now

    def __call__(self, request: UpstreamRequest) -> UpstreamRequest:
        """Give the request with its signature, which AWS takes for five minutes."""
        covered = {name: request.headers[name] for name in _SIGNED if name in request.headers}
        signed = self._signer.sign(covered, request.body, self._now(), method=request.method, target=request.target)
        return request._replace(headers={**request.headers, **signed})

"""One `sallyport local` for all end-to-end tests that change nothing of it."""

from collections.abc import Iterator

import pytest

from tests.support.local_stack import LocalStack


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """The template with its echo upstream, generous limits, and an upstream patience that a test can wait out."""
    parameters = ("RequestsPerMinute=10000", "UpstreamIdleTimeoutSeconds=2", "Models=", "IpDenyList=203.0.113.0/24")
    with LocalStack(*(part for parameter in parameters for part in ("--parameter", parameter))) as running:
        yield running

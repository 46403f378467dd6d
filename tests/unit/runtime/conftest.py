"""What every test of the runtime needs: a loop served by a fake Runtime API until its script has ended."""

from collections.abc import Callable
from typing import Any

import pytest

from sallyport.runtime.client import RuntimeApi, RuntimeApiError
from sallyport.runtime.loop import Loop
from tests.support.fake_runtime_api import FakeRuntimeApi, Reply

Handler = Callable[[Any, Any], Any]
Serve = Callable[..., list[bytes]]


@pytest.fixture
def environ() -> dict[str, str]:
    return {}


@pytest.fixture
def serve(environ: dict[str, str]) -> Serve:
    """Serve a script with a handler; gives the raw requests after the script has ended."""

    def serve(handler: Handler, *script: Reply, now: Callable[[], float] = lambda: 1_000.0) -> list[bytes]:
        with FakeRuntimeApi(*script) as fake:
            serve_fake(fake, handler, environ, now)
        return fake.requests

    return serve


def serve_fake(
    fake: FakeRuntimeApi, handler: Handler, environ: dict[str, str], now: Callable[[], float] = lambda: 1_000.0
) -> None:
    """Run the loop until the fake has ended."""
    api = RuntimeApi(fake.address)
    try:
        with pytest.raises(RuntimeApiError):
            Loop(api, handler, environ, now).run()
    finally:
        api.close()

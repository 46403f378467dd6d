"""What every kind of function makes of its environment."""

from collections.abc import Callable, Mapping

from sallyport.adapters.aws_client import TIMEOUT_S, TOTAL_S, AwsClient, Service
from sallyport.observability.log import Logger
from sallyport.policy.parameters import ConfigurationError

type Environ = Mapping[str, str]

INIT_S = 8.0
"""For reading the policy at the start: Lambda ends an init phase after ten seconds."""
COUNTERS_TIMEOUT_S = 1.0
"""For one try of a write to the tables: a caller waits for it."""
COUNTERS_TOTAL_S = 2.0
"""With the second try."""


def make_aws_client(
    service: Service,
    environ: Environ,
    left_s: Callable[[], float] = lambda: float("inf"),
    timeout_s: float = TIMEOUT_S,
    total_s: float = TOTAL_S,
) -> AwsClient:
    """Make the client of one service, which waits for at most `left_s`, `timeout_s` for a try and `total_s` in all.

    Raises `ConfigurationError` where Lambda's own variables are missing.
    """
    try:
        return AwsClient(service, environ, left_s=left_s, timeout_s=timeout_s, total_s=total_s)
    except ValueError as error:
        raise ConfigurationError(f"the environment's AWS settings: {error}") from None


def make_logger(environ: Environ, level: int) -> Logger:
    """Make the function's logger."""
    return Logger(environ.get("AWS_LAMBDA_FUNCTION_NAME", "local"), environ.get("SALLYPORT_STACK", "local"), level)

"""The canary guard's stack parameters, as it finds them in its environment.

It goes by the same effective policy as the routes, so it reads what they read of upstreams and of the parameters' own
canary.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sallyport.policy.canary_parameters import parameter_canary
from sallyport.policy.canary_rules import CanaryRules
from sallyport.policy.upstream_parameters import read_canary, read_upstream
from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.policy.variables import ConfigurationError, Variables

_LOG_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}


class GuardSettings(NamedTuple):
    """What the guard goes by. `upstreams` and `canaries` are the parameters' own. `topic_arn` empty: nobody is told."""

    stack: str
    config_table: str
    counters_table: str
    upstreams: Mapping[str, UpstreamRules]
    canaries: tuple[CanaryRules, ...]
    secret_prefix: str
    topic_arn: str
    log_level: int


def read_guard_settings(environ: Mapping[str, str]) -> GuardSettings:
    """Read the guard's settings. Raises `ConfigurationError`."""
    read = Variables(environ)
    upstream, canary = read_upstream(read).rules, read_canary(read)
    known = [upstream, *([canary.upstream] if canary.upstream is not None else [])]
    return GuardSettings(
        stack=environ.get("SALLYPORT_STACK", "local"),
        config_table=read.text("CONFIG_TABLE"),
        counters_table=read.text("COUNTERS_TABLE"),
        upstreams={rules.name: rules for rules in known},
        canaries=parameter_canary(canary, upstream),
        secret_prefix=read.optional("SECRET_PREFIX"),
        topic_arn=_read_topic(read),
        log_level=read.choice("LOG_LEVEL", _LOG_LEVELS),
    )


def _read_topic(read: Variables) -> str:
    """Read a topic's ARN ("Amazon SNS", Resource types: arn:aws:sns:region:account:name)."""
    arn = read.optional("CANARY_TOPIC")
    if arn and not (arn.startswith("arn:aws") and arn.count(":") == 5 and arn.split(":")[2] == "sns"):  # noqa: PLR2004 - of an ARN
        raise ConfigurationError("SALLYPORT_CANARY_TOPIC: must be the ARN of an SNS topic")
    return arn

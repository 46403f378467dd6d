"""What stack parameters say of verification, made into the same rules that a policy document holds.

It is one variable of three words, since the functions' environment holds 4 KB and is nearly full.
"""

from typing import NamedTuple

from sallyport.policy.limit_rules import ROUTES, RouterRules
from sallyport.policy.variables import ConfigurationError, Variables
from sallyport.policy.verification_rules import (
    ACTIONS,
    ANSWERS,
    IGNORE,
    MODES,
    OFF,
    REPORT,
    UNKNOWN_FIELDS,
    AnswerRules,
    LeakRules,
    RequestRules,
    VerificationRules,
)

PARAMETER_LEAKS = "parameters"
"""The name of the leak guard's rule that stack parameters make."""

PARAMETER_DETECTORS = ("credentials", "private_keys", "cards")
"""What it looks for: what hardly anything else looks like, so that it can be blocked."""

LEAK_GUARDS = (OFF, *ACTIONS)

_WORDS = ((*MODES,), (*UNKNOWN_FIELDS,), LEAK_GUARDS)


class VerificationSettings(NamedTuple):
    """One of `MODES`, one of `UNKNOWN_FIELDS`, and `off` or one of `ACTIONS`."""

    response: str = REPORT
    unknown_fields: str = IGNORE
    leak_guard: str = OFF


def read_verification(read: Variables) -> VerificationSettings:
    """Read the three words, none of them: the usual ones. Raises `ConfigurationError`."""
    words = read.optional("VERIFICATION").split()
    if not words:
        return VerificationSettings()
    if len(words) != len(_WORDS) or any(word not in known for word, known in zip(words, _WORDS, strict=True)):
        raise ConfigurationError("SALLYPORT_VERIFICATION: must be three words, such as report ignore off")
    return VerificationSettings(*words)


def with_verification(rules: RouterRules, settings: VerificationSettings) -> RouterRules:
    """Give what stack parameters say, with what they hold requests and answers to."""
    return rules._replace(verification=parameter_verification(settings))


def parameter_verification(settings: VerificationSettings) -> VerificationRules:
    """Give the rules. Of `answers` the one for `apps` is for those applications that have an OpenAPI document."""
    requests = RequestRules(unknown_fields=settings.unknown_fields)
    return VerificationRules(
        requests={route: requests for route in ROUTES if route != "apps"},
        answers=dict.fromkeys(ROUTES, AnswerRules(settings.response)),
        leaks=() if settings.leak_guard == OFF else (_leaks(settings.leak_guard),),
    )


def _leaks(action: str) -> LeakRules:
    return LeakRules(PARAMETER_LEAKS, PARAMETER_DETECTORS, (), (), action, (ANSWERS,))

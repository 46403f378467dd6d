"""Stack parameters on verification: three words in one variable, made into rules."""

import pytest

from sallyport.policy.limit_rules import ROUTES, RouterRules
from sallyport.policy.variables import ConfigurationError, Variables
from sallyport.policy.verification_parameters import (
    VerificationSettings,
    parameter_verification,
    read_verification,
    with_verification,
)
from sallyport.policy.verification_rules import AnswerRules, LeakRules, RequestRules


def read(text: str) -> VerificationSettings:
    """Read the variable."""
    return read_verification(Variables({"SALLYPORT_VERIFICATION": text}))


@pytest.mark.parametrize("environ", [{}, {"SALLYPORT_VERIFICATION": ""}])
def test_nothing_said_is_to_report_answers_alone(environ: dict[str, str]) -> None:
    assert read_verification(Variables(environ)) == VerificationSettings("report", "ignore", "off")


@pytest.mark.parametrize(
    "text", ["off ignore off", "report strip report", "enforce refuse redact", "enforce strip block"]
)
def test_words_are_read_in_their_order(text: str) -> None:
    assert read(text) == VerificationSettings(*text.split())


@pytest.mark.parametrize(
    "text",
    [
        "report",
        "report ignore",
        "report ignore off off",
        "ignore report off",
        "report ignore enforce",
        "REPORT ignore off",
    ],
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="SALLYPORT_VERIFICATION"):
        read(text)


def test_every_route_is_held_to_them() -> None:
    rules = with_verification(
        RouterRules(0, (), {}, None), VerificationSettings("enforce", "refuse", "off")
    ).verification
    assert rules.answers == dict.fromkeys(ROUTES, AnswerRules("enforce"))
    assert set(rules.requests) == {*ROUTES} - {"apps"}
    assert all(one == RequestRules("refuse") for one in rules.requests.values())
    assert rules.leaks == ()


@pytest.mark.parametrize("action", ["report", "redact", "block"])
def test_the_leak_guard_looks_at_answers_of_every_route(action: str) -> None:
    (rule,) = parameter_verification(VerificationSettings(leak_guard=action)).leaks
    detectors = ("credentials", "private_keys", "cards")
    assert rule == LeakRules("parameters", detectors, (), (), action, ("answers",))
    assert rule.scope == ((), (), ())

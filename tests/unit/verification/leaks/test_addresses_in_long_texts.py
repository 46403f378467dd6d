"""Addresses are found wherever they stand in a long text, though only the parts around an `@` are looked at."""

import pytest

from sallyport.policy.verification_rules import ANSWERS, REDACT, LeakRules
from sallyport.verification.leaks.scanner import Scanner

ADDRESS = "jo.doe@mail.example.com"
LONG = f"{'\u6f22' * 64}@{'x' * 200}.{'y' * 63}"


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner([LeakRules("people", ("email",), (), (), REDACT, (ANSWERS,))])


def redacted(scanner: Scanner, text: str) -> str:
    return scanner.redact(text, scanner.scan(text))


@pytest.mark.parametrize("address", [ADDRESS, LONG, f'"{"q" * 64}"@example.com', r"gr\u00fc\u00dfe@example.com"])
@pytest.mark.parametrize("filler", [1, 300, 511, 512, 513, 2047, 2048, 2049, 2559, 2560, 2561, 9000])
def test_every_address_is_found_whatever_lies_between(scanner: Scanner, address: str, filler: int) -> None:
    between = " " + "-" * filler + " "
    assert redacted(scanner, between.join([address] * 4)) == between.join(["[email]"] * 4)


@pytest.mark.parametrize("before", [0, 1, 511, 5000])
def test_an_at_that_is_no_address_hides_none(scanner: Scanner, before: int) -> None:
    text = f"{'@' * 3000}{' ' * before} {ADDRESS} {'@ ' * 3000}"
    assert redacted(scanner, text) == text.replace(ADDRESS, "[email]")

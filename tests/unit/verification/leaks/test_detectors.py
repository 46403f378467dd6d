from collections import Counter
from functools import cache

import pytest

from bench.leak_sample import leaks, look_alikes
from bench.leaks import is_found
from sallyport.policy.verification_rules import ANSWERS, REDACT, LeakRules
from sallyport.verification.leaks import check_digits
from sallyport.verification.leaks.detectors import DETECTORS
from sallyport.verification.leaks.looking import _compiled, _tail
from sallyport.verification.leaks.scanner import Scanner

MISSED = {"visa_13", "es national", "nl_bsn"}
"""Formats without anything that tells them from a number in three cases of ten, or ever."""
SAMPLE = {(leak.detector, leak.format): leak for leak in leaks()}


@cache
def only(detector: str) -> Scanner:
    return Scanner([LeakRules("x", (detector,), (), (), REDACT, (ANSWERS,))])


@pytest.mark.parametrize("detector", DETECTORS)
def test_detectors_find_the_sample(detector: str) -> None:
    missed = {leak.format for leak in leaks() if leak.detector == detector and not is_found(leak, only(detector))}
    assert missed <= MISSED


@pytest.mark.parametrize("detector", DETECTORS)
def test_detectors_pass_look_alikes(detector: str) -> None:
    alarms = Counter(text.kind for text in look_alikes() if only(detector).scan(text.text))
    assert set(alarms) <= ({"steuer-id, wrong digit"} if detector == "pl_pesel" else set())


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (check_digits.card, "378282246310005"),
        (check_digits.card, "30569309025904"),
        (check_digits.iban, "GB82WEST12345698765432"),
        (check_digits.iban, "NO9386011117947"),
        (check_digits.us_ssn, "219-09-9999"),
        (check_digits.de_steuer_id, "86095742719"),
        (check_digits.fr_nir, "255081416802538"),
        (check_digits.es_dni, "12345678Z"),
        (check_digits.es_dni, "X1234567L"),
        (check_digits.it_codice_fiscale, "RSSMRA85T10A562S"),
        (check_digits.nl_bsn, "111222333"),
        (check_digits.be_national_number, "85.07.30-033.28"),
        (check_digits.pl_pesel, "44051401359"),
        (check_digits.se_personnummer, "19811218-9876"),
    ],
)
def test_check_digits_accept_published_examples_and_no_other_digit(check: object, text: str) -> None:
    assert callable(check)
    assert check(text) == len(text)
    at = max(place for place, char in enumerate(text) if char.isdigit())
    if check is not check_digits.us_ssn:
        others = [digit for digit in "0123456789" if digit != text[at]]
        assert not any(check(text[:at] + digit + text[at + 1 :]) for digit in others)


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_beginning_of_a_match_is_held_back(detector: str) -> None:
    samples = [leak.text.encode() for leak in leaks() if leak.detector == detector]
    seen = 0
    for shape in DETECTORS[detector].shapes:
        held, regex = _tail({shape}), _compiled(shape.pattern, 8_388_608)
        match = next((match for data in samples if (match := regex.search(data)) is not None), None)
        if match is None:
            continue
        seen += 1
        data = match.string[: match.end()]
        for end in range(match.start() + 1, match.end() + 1, 1 + len(data) // 100):
            tail = held.search(data[:end])
            assert tail is not None
            assert tail.start() <= match.start()
    assert seen


@pytest.mark.parametrize("kind", ["AKIA", "eyJ", "sk-", "password", "-----BEGIN", "bearer", "@", "DE", "4111", "+49"])
def test_no_text_of_one_kind_is_a_leak(kind: str) -> None:
    guard = Scanner([LeakRules("x", tuple(DETECTORS), (), (), REDACT, (ANSWERS,))])
    assert guard.scan(f"{kind} " * 50) == []

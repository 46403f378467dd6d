import subprocess
import sys

import pytest
from hypothesis import given

from sallyport.policy.verification_rules import ANSWERS, BLOCK, REDACT, REPORT, LeakRules, Pattern
from sallyport.verification.findings import Finding
from sallyport.verification.leaks.scanner import Found, Scanner
from sallyport.verification.leaks.walk import scan_json
from tests.unit.verification.leaks.texts import scanner, texts

GUARD = scanner()
CARD = "4111111111111111"


def rules(name: str, action: str, *detectors: str) -> LeakRules:
    return LeakRules(name, detectors, (), (), action, (ANSWERS,))


def test_scanner_gives_places_in_characters() -> None:
    text = f"é🦓中 {CARD}."
    (found,) = GUARD.scan(text)
    assert found == Found("all", "cards", 4, 20, REDACT)
    assert GUARD.redact(text, [found]) == "é🦓中 [cards]."


def test_scanner_names_what_overlaps_once_by_the_longest_of_the_first() -> None:
    text = "db is postgres://svc:Tr0ub4dor@db.example.com now"
    assert {found.kind for found in GUARD.scan(text)} == {"url_password", "email"}
    assert GUARD.redact(text, GUARD.scan(text)) == "db is postgres://svc:[email] now"


def test_scanner_leaves_what_is_only_reported() -> None:
    guard = Scanner([rules("cards", REPORT, "cards"), rules("people", REDACT, "email")])
    text = f"{CARD} a@example.org"
    assert [(found.rule, found.action) for found in guard.scan(text)] == [("cards", REPORT), ("people", REDACT)]
    assert guard.redact(text, guard.scan(text)) == f"{CARD} [email]"


@given(texts)
def test_scanner_finds_nothing_in_what_it_redacted_but_where_two_leaks_were_one_text(text: str) -> None:
    once = GUARD.redact(text, GUARD.scan(text))
    assert len(GUARD.scan(once)) <= len(GUARD.scan(text))


@pytest.mark.parametrize("word", ["zebra lantern 42", "ZEBRA\nLANTERN   42", "Zebra\\nLantern\\n42"])
def test_scanner_finds_a_planted_word_whatever_its_capitals_and_spaces(word: str) -> None:
    assert [found.kind for found in GUARD.scan(f"x{word}x")] == ["word"]


def test_scanner_takes_an_operators_pattern_by_its_name() -> None:
    assert [found.kind for found in GUARD.scan("see ACME-123456, ACME-12")] == ["ticket"]


def test_scanner_refuses_what_is_no_pattern_of_re2s() -> None:
    with pytest.raises(ValueError, match="linear time"):
        Scanner([LeakRules("x", (), (Pattern("p", "(?=a)", 5),), (), REPORT, (ANSWERS,))])
    with pytest.raises(KeyError):
        Scanner([rules("x", REPORT, "no_such")])


def test_scan_json_redacts_strings_and_long_numbers_and_leaves_names() -> None:
    value = {"a@example.org": ["a@example.org", {"n": int(CARD), "m": 12, "ok": True, "z": None}]}
    scanned = scan_json(GUARD, value)
    assert scanned.value == {"a@example.org": ["[email]", {"n": "[cards]", "m": 12, "ok": True, "z": None}]}
    assert scanned.findings == (Finding("leaks/all", "email"), Finding("leaks/all", "cards"))
    assert not scanned.is_blocked
    assert value["a@example.org"][0] == "a@example.org"


def test_scan_json_gives_the_same_object_where_nothing_is_redacted() -> None:
    value = {"choices": [{"message": {"content": "Hello."}, "logprobs": {"content": []}}]}
    assert scan_json(GUARD, value).value is value
    reported = {"text": CARD}
    scanned = scan_json(scanner(REPORT), reported)
    assert scanned.value is reported
    assert scanned.findings == (Finding("leaks/all", "cards"),)


def test_scan_json_says_what_is_to_be_blocked() -> None:
    assert scan_json(scanner(BLOCK), [CARD]).is_blocked


def test_scan_json_leaves_out_the_tokens_of_what_was_changed() -> None:
    tokens = {"content": [{"token": CARD[:8]}, {"token": CARD[8:]}]}
    value = {"choices": [{"message": {"content": CARD}, "logprobs": tokens}], "output": [{"logprobs": [1]}]}
    scanned = scan_json(GUARD, value).value
    assert scanned == {
        "choices": [{"message": {"content": "[cards]"}, "logprobs": None}],
        "output": [{"logprobs": []}],
    }


def test_no_finding_tells_the_value() -> None:
    for text in (CARD, "a@example.org", "ACME-123456", "zebra lantern 42"):
        assert text not in repr(GUARD.scan(text)) + repr(scan_json(GUARD, [text]).findings)


def test_leaks_load_re2_only_for_rules() -> None:
    code = (
        "import sys, sallyport.verification.leaks.stream as s, sallyport.verification.leaks.scanner as t;"
        "t.Scanner([]); sys.exit('re2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_scan_json_leaves_the_apis_own_words() -> None:
    guard = Scanner([LeakRules("x", (), (), ("message", "user"), REDACT, (ANSWERS,))])
    value = {"type": "message", "role": "user", "text": "a message", "object": "a message"}
    assert scan_json(guard, value).value == {**value, "text": "a [word]", "object": "a [word]"}

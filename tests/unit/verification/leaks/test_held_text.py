import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sallyport.errors import ResponseBlockedError
from sallyport.policy.verification_rules import BLOCK, REPORT
from sallyport.verification.leaks.held_text import LOOKBACK, MAX_LEAK, HeldText
from sallyport.verification.leaks.scanner import Scanner
from tests.unit.verification.leaks.texts import SECRETS, pieces, scanner, texts

REDACTING = scanner()
BLOCKING = scanner(BLOCK)
REPORTING = scanner(REPORT)


def held(guard: Scanner) -> HeldText:
    lookers = guard.acting or guard.reporting
    assert lookers is not None
    return HeldText(lookers)


def sent(text: HeldText, parts: list[str]) -> str:
    return "".join([*map(text.feed, parts), text.flush()])


@given(data=st.data(), text=texts)
def test_held_text_gives_what_redacting_the_whole_gives_however_it_is_cut(data: st.DataObject, text: str) -> None:
    found = REDACTING.scan(text)
    guard = held(REDACTING)
    assert sent(guard, data.draw(pieces(text))) == REDACTING.redact(text, found)
    assert sum(guard.found.values()) == len(found)


@pytest.mark.parametrize("secret", SECRETS)
def test_held_text_finds_a_leak_cut_at_any_place(secret: str) -> None:
    text = f"It is {secret}, she said."
    wanted = REDACTING.redact(text, REDACTING.scan(text))
    assert secret not in wanted
    for cut in range(1, len(text)):
        assert sent(held(REDACTING), [text[:cut], text[cut:]]) == wanted
    assert sent(held(REDACTING), [*text]) == wanted


@pytest.mark.parametrize("secret", SECRETS)
def test_held_text_that_blocks_lets_no_character_of_a_leak_out(secret: str) -> None:
    text = f"It is {secret}, she said. {'x' * 40}"
    guard, gone = held(BLOCKING), ""

    def send() -> None:
        nonlocal gone
        for char in text:
            gone += guard.feed(char)

    with pytest.raises(ResponseBlockedError):
        send()
    assert len(gone) <= BLOCKING.scan(text)[0].start


@given(text=texts, data=st.data())
def test_held_text_that_reports_counts_what_the_whole_holds(text: str, data: st.DataObject) -> None:
    guard = held(REPORTING)
    assert sent(guard, data.draw(pieces(text))) == text
    assert sum(guard.found.values()) == len(REPORTING.scan(text))


@pytest.mark.parametrize("text", ["Good morning. ", "It costs 12.50 (or so), I think; ", "\n\n- one\n- two\n"])
def test_held_text_holds_back_little_of_prose(text: str) -> None:
    guard = held(REDACTING)
    went = "".join(map(guard.feed, text * 20))
    assert len(went) > len(text * 20) - 20


@example("eyJ" + "a" * 3 * LOOKBACK)
@example("Bearer " + "a" * 3 * LOOKBACK)
@example("a@" + "b" * 3 * LOOKBACK)
@given(texts)
def test_held_text_holds_back_at_most_the_stated_length(text: str) -> None:
    guard, went = held(REDACTING), 0
    for start in range(0, len(text), 7):
        went += len(guard.feed(text[start : start + 7]))
        assert start + 7 - went <= LOOKBACK + LOOKBACK // 8 + 7
    if not REDACTING.scan(text):
        assert went + len(guard.flush()) == len(text)


def test_held_text_ends_an_answer_with_a_leak_that_is_too_long() -> None:
    guard = held(REDACTING)
    with pytest.raises(ResponseBlockedError):
        guard.feed("-----BEGIN PRIVATE KEY-----\n" + "Ab1+" * MAX_LEAK)


@pytest.mark.parametrize(
    "text",
    [
        "sk-" + "aB3-" * MAX_LEAK + " a@example.org",
        "password=" + "a1" * MAX_LEAK,
        "a@" + "b." * LOOKBACK + "com a@example.org",
        "eyJ" + "a" * LOOKBACK * 2 + " 4111111111111111",
        "password=eyJ" + "aB3" * LOOKBACK,
        "postgres://svc:Tr0ub4dor@" + "b." * LOOKBACK + "com",
        "password=a1b2c3d4@" + "b." * LOOKBACK + "com",
    ],
    ids=["key", "password", "address", "token", "both", "url", "chain"],
)
def test_held_text_redacts_in_a_run_that_is_too_long_what_the_whole_says(text: str) -> None:
    parts = [text[start : start + 997] for start in range(0, len(text), 997)]
    assert sent(held(REDACTING), parts) == REDACTING.redact(text, REDACTING.scan(text))


def test_held_text_that_reports_never_ends_an_answer() -> None:
    text = "-----BEGIN PRIVATE KEY-----\n" + "Ab1+" * MAX_LEAK
    guard = held(REPORTING)
    assert sent(guard, [text[start : start + 4096] for start in range(0, len(text), 4096)]) == text
    assert guard.found == {("all", "private_key"): 1}


def test_held_text_takes_half_a_surrogate_pair() -> None:
    assert sent(held(REDACTING), ["a\ud83e", " 4111111111111111", "\udd93"]) == "a\ud83e [cards]\udd93"

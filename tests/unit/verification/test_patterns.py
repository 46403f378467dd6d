import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.verification.patterns import compile_pattern, spans


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a(?=b)", "look-ahead"),
        ("a(?!b)", "look-ahead"),
        ("(?<=a)b", "look-behind"),
        ("(?<!a)b", "look-behind"),
        (r"(a)\1", "back-reference"),
        (r"(?P<x>a)\k<x>", "back-reference"),
        ("(?>a)b", "atomic"),
        (r"\p{L}{1,900}", "compiled"),
        ("(?:a{100}){100}", "1000 times"),
        ("a{1001}", "1000 times"),
        ("(a", r"missing \)"),
        ("[z-a]", "z-a"),
        ("a" * 513, "512 characters"),
        ("\ud800", "surrogate"),
        (r"\C", "half a character"),
        ("", "nothing"),
        ("a*", "nothing"),
        (r"\b", "nothing"),
        (r"\B", "nothing"),
        ("$", "nothing"),
        ("foo|^", "nothing"),
        ("(?m)$|x", "nothing"),
    ],
)
def test_pattern_that_cannot_be_matched_safely_is_refused_with_a_reason(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", [r"(?i)ignore (all )?previous instructions", r"ACME-[0-9]{6}", r"\\C", r"\p{L}+"])
def test_pattern_of_ordinary_rules_is_compiled(pattern: str) -> None:
    compile_pattern(pattern)


def test_pattern_matches_regardless_of_case_in_any_alphabet() -> None:
    assert compile_pattern("(?i)привет").search("ну, ПРИВЕТ") is not None


def test_pattern_that_is_refused_is_not_written_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="back-reference"):
        compile_pattern(r"(secret)\1")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("pattern", ["(a+)+$b", "(a|aa)+c", "(?:a?){200}a{200}b", "a.*b|ac"])
def test_pattern_that_takes_a_backtracking_engine_for_ever_ends(pattern: str) -> None:
    assert compile_pattern(pattern).search("a" * 200_000) is None


def test_spans_of_a_pattern_that_looks_at_the_rest_after_every_match_end() -> None:
    assert sum(1 for _ in spans(compile_pattern("a.*b|a"), "a" * 50_000, 10)) == 50_000


@given(
    st.text(alphabet="ab \u0416\U0001f600", max_size=40).map(lambda text: text * 400),
    st.sampled_from([r"a{1,5}", r"\bab", r"ab$", "^a", "b a?", "\u0416+a", r"b\b", "[^a]{3}"]),
)
def test_spans_are_those_that_one_look_at_the_whole_text_gives(text: str, pattern: str) -> None:
    compiled = compile_pattern(pattern)
    whole = [(match.start(), match.end()) for match in compiled.finditer(text)]
    if all(end - start <= 100 for start, end in whole):
        assert list(spans(compiled, text, 100)) == whole


def test_module_is_loaded_without_re2() -> None:
    code = "import sys, sallyport.verification.patterns; sys.exit('re2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

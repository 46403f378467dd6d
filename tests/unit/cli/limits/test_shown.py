"""What commands print of limits: amounts, lengths of time, bars."""

from decimal import Decimal

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.policy.limit_rules import NO_WINDOW, LimitRule, Window
from sallyport_cli.limits.amounts import amount_text, usd_text
from sallyport_cli.limits.bars import WIDTH, Look, bar
from sallyport_cli.limits.durations import read_span, span_text
from sallyport_cli.limits.output import limit_in_words

PLAIN, BLOCKS = Look(), Look(blocks=True)


@given(st.integers(-(10**20), 10**20))
def test_dollars_are_exact(nanodollars: int) -> None:
    assert Decimal(usd_text(nanodollars)) * 10**9 == nanodollars


@pytest.mark.parametrize(
    ("unit", "amount", "text"),
    [
        ("tokens", 1_234_567, "1,234,567"),
        ("usd", 0, "$0.00"),
        ("usd", 12_300_000_000, "$12.30"),
        ("usd", 12_345_678_901, "$12.35"),
        ("usd", 12_345, "$0.000012345"),
    ],
)
def test_an_amount_is_readable(unit: str, amount: int, text: str) -> None:
    assert amount_text(unit, amount) == text


def test_what_is_left_is_rounded_down() -> None:
    assert amount_text("usd", 12_349_999_999, down=True) == "$12.34"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0s"), (1, "1s"), (59_001, "1m"), (125_000, "2m 5s"), (3_600_000, "1h"), (93_784_000, "1d 2h")],
)
def test_a_length_of_time_has_two_units(milliseconds: int, text: str) -> None:
    assert span_text(milliseconds) == text


def test_a_length_of_time_is_read_strictly() -> None:
    assert [read_span(text) for text in ("90s", "30m", "6h", "2d")] == [90, 1800, 21_600, 172_800]
    for broken in ("", "0m", "1", "h", "1 h", "1w", "-1h", "1.5h", "1000000h"):
        with pytest.raises(ValueError, match="isn't like"):
            read_span(broken)


def test_a_limit_is_readable() -> None:
    rules = [
        LimitRule("a", ("key",), "output_tokens", 2000, Window(60)),
        LimitRule("b", ("key",), "usd", 20 * 10**9, Window(calendar="month")),
        LimitRule("c", ("key",), "concurrent", 4, NO_WINDOW),
    ]
    assert [limit_in_words(rule) for rule in rules] == ["2,000 output tokens/1m", "$20.00/month", "4 at a time"]


@pytest.mark.parametrize(
    ("used", "drawn"),
    [(0, "." * 20), (1, "#" + "." * 19), (500, "#" * 10 + "." * 10), (999, "#" * 19 + "."), (1000, "#" * 20)],
)
def test_a_plain_bar_is_empty_and_full_only_where_the_limit_is(used: int, drawn: str) -> None:
    assert bar(used, 1000, PLAIN) == f"[{drawn}]"


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from([PLAIN, BLOCKS, Look(blocks=True, colours=True)]))
def test_a_bar_is_always_as_wide(used: int, limit: int, look: Look) -> None:
    assert len(click.unstyle(bar(used, limit, look))) == WIDTH + 2


def test_a_bar_has_eighths_and_colours_on_a_terminal() -> None:
    assert bar(1, 1000, BLOCKS) == "[▏" + " " * 19 + "]"
    assert bar(1000, 1000, BLOCKS) == "[" + "█" * 20 + "]"
    colours = Look(blocks=True, colours=True)
    assert ["\x1b[32m" in bar(1, 9, colours), "\x1b[33m" in bar(7, 9, colours), "\x1b[31m" in bar(9, 9, colours)] == [
        True,
        True,
        True,
    ]


def test_the_terminal_decides_how_it_looks() -> None:
    assert Look.of(is_terminal=True, encoding="UTF-8", no_color="") == Look(blocks=True, colours=True)
    assert Look.of(is_terminal=True, encoding="utf-8", no_color="1") == Look(blocks=True, colours=False)
    assert Look.of(is_terminal=True, encoding="ascii", no_color="") == Look(blocks=False, colours=True)
    assert Look.of(is_terminal=False, encoding="utf-8", no_color="") == Look()

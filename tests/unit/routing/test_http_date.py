"""HTTP's dates against the standard library's reader."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.routing.http_date import http_date_s

NOW_S = 1_800_000_000.0
EXAMPLE_S = 784_111_777.0


@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_the_three_forms_of_rfc_9110(text: str) -> None:
    assert http_date_s(text, NOW_S) == EXAMPLE_S


@given(st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31)))  # noqa: DTZ001 - naive bounds, as hypothesis takes them
def test_a_date_is_read_as_the_standard_library_writes_it(moment: datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
    assert http_date_s(format_datetime(moment, usegmt=True), NOW_S) == expected


def test_a_year_of_two_digits_is_at_most_fifty_years_ahead() -> None:
    near, far = "Sunday, 06-Nov-76 08:49:37 GMT", "Sunday, 06-Nov-78 08:49:37 GMT"
    assert http_date_s(near, NOW_S) == datetime(2076, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()
    assert http_date_s(far, NOW_S) == datetime(1978, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1969 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT\n",
        "sun, 06 nov 1994 08:49:37 gmt",
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert http_date_s(text, NOW_S) is None

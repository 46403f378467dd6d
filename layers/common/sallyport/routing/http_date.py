"""HTTP's dates, in the three forms that a recipient must accept (RFC 9110, section 5.6.7).

The standard library's readers of dates cost a cold start more than all of routing does.
"""

import re

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIME = r"(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d):(?P<second>[0-5]\d|60)"
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_FORMS = (
    re.compile(rf"[A-Z][a-z]{{2}}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT", re.ASCII),
    re.compile(rf"[A-Z][a-z]{{5,8}}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT", re.ASCII),
    re.compile(rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})", re.ASCII),
)
_FIRST_YEAR = 1970
_CENTURY = 100
_DAYS_TO_1970 = 719_468


def http_date_s(text: str, now_s: float) -> float | None:
    """Give a date as seconds since 1970, None for what isn't one. A year of two digits is one near `now_s`."""
    for form in _FORMS:
        found = form.fullmatch(text)
        if found is not None:
            year, day = _year(found["year"], now_s), int(found["day"])
            month = _MONTHS.index(found["month"]) + 1
            if year < _FIRST_YEAR or not 1 <= day <= _month_days(year, month):
                return None
            minutes = (_days(year, month, day) * 24 + int(found["hour"])) * 60 + int(found["minute"])
            return float(minutes * 60 + int(found["second"]))
    return None


def _year(digits: str, now_s: float) -> int:
    """Take a year of two digits for one of this century, or of the last if it were over 50 years away."""
    year = int(digits)
    if len(digits) > 2:  # noqa: PLR2004 - two digits
        return year
    this_year = _FIRST_YEAR + int(now_s / 31_556_952)
    year += this_year - this_year % _CENTURY
    return year - _CENTURY if year > this_year + _CENTURY // 2 else year


def _month_days(year: int, month: int) -> int:
    next_year, next_month = (year + 1, 1) if month == len(_MONTHS) else (year, month + 1)
    return _days(next_year, next_month, 1) - _days(year, month, 1)


def _days(year: int, month: int, day: int) -> int:
    """Give the days since 1970 (Hinnant, "chrono-Compatible Low-Level Date Algorithms"); years begin in March."""
    year -= month <= 2  # noqa: PLR2004 - February
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + of_year - _DAYS_TO_1970

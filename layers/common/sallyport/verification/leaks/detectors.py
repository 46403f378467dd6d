"""The built-in detectors: what a leak looks like, and what tells it from its look-alikes.

Patterns are RE2's and run in linear time. Each is written in what `prefixes` reads, so that a stream knows what to hold
back. A group `value` is the part that is secret; without it the whole match is. Before a token a backslash and a letter
may stand, a line's end in JSON or code, which is no word's boundary.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sallyport.verification.leaks import check_digits

type Accept = Callable[[str, str], int]
"""Takes a value and the one character after it; gives how many of its characters are a finding, 0 for none."""


ANCHOR_BEFORE, ANCHOR_AFTER = 512, 2048


class Shape(NamedTuple):
    """One form of a leak. `kind` is what is logged, and what stands in its place."""

    kind: str
    pattern: str
    accept: Accept = lambda value, _: len(value)
    not_after: re.Pattern[str] | None = None
    """What, right before it, says that it is the end of something longer."""
    anchor: bytes = b""
    """What every match has, at most `ANCHOR_BEFORE` and `ANCHOR_AFTER` bytes from its ends; only there is looked."""
    beginnings: str | None = None
    """What a stream holds back, where all prefixes of `pattern` make too slow an automaton; matches those and more."""


class Detector(NamedTuple):
    """What an operator turns on by `name`."""

    name: str
    shapes: tuple[Shape, ...]


_LONGER = re.compile(r"(?:[0-9A-Za-z]-|[0-9][.,/+])\Z")
"""A decimal, a UUID, `ORD-...`."""
_LONGER_OR_GROUPS = re.compile(r"(?:[0-9A-Za-z]-|[0-9][.,/+ ])\Z")
"""Or a number in groups, such as an IBAN."""
_LEFT = r"(?:\b|\\[nrtbf]|\\u[0-9A-Fa-f]{4})"


def _is_random(value: str, _: str = "") -> int:
    """Tell a key from words with hyphens: it has digits, capital and small letters."""
    mixed = any(map(str.isdigit, value)) and any(map(str.isupper, value)) and any(map(str.islower, value))
    return len(value) if mixed else 0


def _is_openai(value: str, _: str) -> int:
    return 0 if value.startswith("sk-ant-") else _is_random(value)


def _is_whole_secret(value: str, after: str) -> int:
    return 0 if after.isalnum() or after in {"/", "+"} else _is_random(value)


def _has_digit_and_letter(value: str, _: str) -> int:
    return len(value) if any(map(str.isdigit, value)) and any(map(str.isalpha, value)) else 0


def _is_written_out(value: str, _: str) -> int:
    return 0 if set(value) <= set("*x.") else len(value)


def _has_top_level(value: str, _: str) -> int:
    """Tell an address from a package and its version: `left-pad@1.3.0`."""
    return 0 if value.rpartition(".")[2][:1] in set("0123456789-") else len(value)


def _token(kind: str, body: str, accept: Accept | None = None) -> Shape:
    shape = Shape(kind, rf"{_LEFT}(?P<value>{body})")
    return shape if accept is None else shape._replace(accept=accept)


_ASSIGNED = (
    r"(?i:passw(?:or)?d|passphrase|pwd|secret|api[_\-]?key|access[_\-]?token|auth[_\-]?token|private[_\-]?key)"
    r"\\?[\"']?[ ]{0,3}[:=][ ]{0,3}\\?[\"']?(?P<value>[^\s\"'\\,;<>{}()\[\]$&\x{60}]{8,128})"
)
CREDENTIALS = Detector(
    "credentials",
    (
        _token("aws_access_key", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
        Shape(
            "aws_secret_key",
            r"(?i:secret[_\- ]?access[_\- ]?key)(?: is)?[^A-Za-z0-9/+]{1,8}(?P<value>[A-Za-z0-9/+]{40})",
            _is_whole_secret,
        ),
        _token("github_token", r"gh[pousr]_[A-Za-z0-9]{36,251}\b"),
        _token("github_token", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b"),
        _token("gitlab_token", r"gl(?:pat|dt|rt|ptt|ft|soat|cbt|imt|agent|oas)-[A-Za-z0-9_\-.]{20,300}"),
        _token("slack_token", r"xox[abeoprs]-[A-Za-z0-9\-]{10,250}", _has_digit_and_letter),
        _token("slack_token", r"xapp-[0-9]-[A-Z0-9]{6,20}-[0-9]{6,20}-[A-Za-z0-9]{30,128}"),
        _token(
            "slack_webhook",
            r"(?:https://)?hooks\.slack\.com/services/T[A-Z0-9]{6,15}/B[A-Z0-9]{6,15}/[A-Za-z0-9]{20,40}",
        ),
        _token("stripe_key", r"[srp]k_(?:live|test)_[A-Za-z0-9]{16,247}", _has_digit_and_letter),
        _token("stripe_key", r"whsec_[A-Za-z0-9+/=]{24,128}", _has_digit_and_letter),
        _token("openai_key", r"sk-[A-Za-z0-9_\-]{32,300}", _is_openai),
        _token("anthropic_key", r"sk-ant-[a-z]{3,10}[0-9]{2}-[A-Za-z0-9_\-]{60,200}"),
        _token("google_key", r"AIza[A-Za-z0-9_\-]{35}"),
        _token("google_key", r"GOCSPX-[A-Za-z0-9_\-]{28}"),
        _token("google_token", r"ya29\.[A-Za-z0-9_\-]{30,900}"),
        _token("google_token", r"1//0[A-Za-z0-9_\-]{40,250}", _is_random),
        _token("sallyport_key", r"sp_[A-Za-z0-9]{16}_[A-Za-z0-9]{49}\b"),
        _token("jwt", r"eyJ[A-Za-z0-9_\-]{10,}\.eyJ[A-Za-z0-9_\-]{4,}\.[A-Za-z0-9_\-]{16,}"),
        Shape(
            "url_password",
            r"://[^\s:@/?#\"'<>\\]{0,64}:(?P<value>[^\s:@/?#\"'<>{}$\\]{1,128})@",
            _is_written_out,
        ),
        Shape("password", _ASSIGNED, _has_digit_and_letter),
        Shape("bearer_token", r"(?i:bearer) {1,3}(?P<value>[A-Za-z0-9._~+/\-]{16,}={0,2})", _has_digit_and_letter),
    ),
)
_KEY_HEADER = r"(?:(?:\\{1,3}[rn]|\s)*[A-Za-z][A-Za-z0-9\-]{2,30}: [^\\\n]{0,200}){0,4}"
PRIVATE_KEYS = Detector(
    "private_keys",
    (
        Shape(
            "private_key",
            r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
            + _KEY_HEADER
            + r"[A-Za-z0-9+/=\s\\\"',;>|#]{16,}(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----)?",
        ),
    ),
)


def _number(kind: str, pattern: str, check: Callable[[str], int] | None = None) -> Shape:
    def accept(value: str, _: str) -> int:
        return len(value) if check is None else check(value)

    not_after = _LONGER_OR_GROUPS if kind == "phone" else _LONGER
    return Shape(kind, rf"{_LEFT}(?P<value>{pattern})", accept, not_after)


def _one(name: str, check: Callable[[str], int] | None, *patterns: str) -> Detector:
    return Detector(name, tuple(_number(name, pattern, check) for pattern in patterns))


_SPACE = r"[ \-\x{A0}]"
CARDS = _one(
    "cards",
    check_digits.card,
    r"[2-8][0-9]{13,18}\b",
    rf"[2-8][0-9]{{3}}{_SPACE}[0-9]{{4}}{_SPACE}[0-9]{{4}}{_SPACE}[0-9]{{4}}\b",
    rf"[2-8][0-9]{{3}}{_SPACE}[0-9]{{4}}{_SPACE}[0-9]{{4}}{_SPACE}[0-9]{{4}}{_SPACE}[0-9]{{3}}\b",
    rf"3[0-9]{{3}}{_SPACE}[0-9]{{6}}{_SPACE}[0-9]{{4,5}}\b",
    rf"4[0-9]{{3}}{_SPACE}[0-9]{{3}}{_SPACE}[0-9]{{3}}{_SPACE}[0-9]{{3}}\b",
    rf"[56][0-9]{{5}}{_SPACE}[0-9]{{13}}\b",
)


def _whole_iban(value: str, after: str) -> int:
    length = check_digits.iban(value)
    return 0 if length == len(value) and after.isalnum() else length


IBAN = Detector(
    "iban",
    (
        Shape(
            "iban",
            rf"{_LEFT}(?P<value>[A-Z]{{2}}[0-9]{{2}}(?:[ \x{{A0}}]?[A-Z0-9]){{11,30}})",
            _whole_iban,
        ),
    ),
)
_LETTER = r"A-Za-z\x{C0}-\x{1FFF}\x{2C00}-\x{2FEF}\x{3040}-\x{D7FF}\x{F900}-\x{FDFF}\x{20000}-\x{3FFFF}"
"""Blocks of letters: RE2's own class of all letters, repeated, makes a program of half a million steps."""
_CODED = r"\\{1,2}u[0-9A-Fa-f]{4}"
"""A letter as JSON may write it."""
_DOMAIN = rf"@(?:[0-9{_LETTER}]|{_CODED})(?:[0-9{_LETTER}.\-]|{_CODED}){{0,200}}\.(?:[0-9{_LETTER}\-]|{_CODED}){{2,63}}"
_ESCAPE = r"(?:\\[nrtbf])?"
_ANY = rf"(?:[^\x00-\x20@\\]|{_CODED})"
_BEGUN_CODE = r"(?:\\{1,2}(?:u[0-9A-Fa-f]{0,3})?)?"
_BEGUN_DOMAIN = rf"(?:@{_ANY}*{_BEGUN_CODE})?"
EMAIL = Detector(
    "email",
    (
        Shape(
            "email",
            rf"{_ESCAPE}(?P<value>(?:[0-9_{_LETTER}]|{_CODED})"
            rf"(?:[0-9_{_LETTER}!#$%&'*+/=?^\x{{60}}{{|}}~.\-]|{_CODED}){{0,63}}{_DOMAIN})",
            _has_top_level,
            anchor=b"@",
            beginnings=rf"{_ESCAPE}{_ANY}{{0,64}}(?:{_BEGUN_CODE}|{_BEGUN_DOMAIN})",
        ),
        Shape(
            "email",
            rf"(?P<value>\\{{0,3}}\"[A-Za-z0-9][^\"\\\n]{{0,63}}\\{{0,3}}\"{_DOMAIN})",
            _has_top_level,
            anchor=b"@",
            beginnings=rf"\\{{0,3}}(?:\"(?:[A-Za-z0-9][^\"\\\n]{{0,63}}\\{{0,3}}(?:\"{_BEGUN_DOMAIN})?)?)?",
        ),
    ),
)


def _same_separators(value: str) -> int:
    return len(value) if value[3] == value[7] else 0


def _is_international(value: str) -> int:
    digits = sum(map(str.isdigit, value)) - (2 if value.startswith("00") else 0)
    return len(value) if 8 <= digits <= 15 else 0  # noqa: PLR2004 - E.164


PHONE = Detector(
    "phone",
    (
        Shape(
            "phone",
            r"(?P<value>\+[1-9][0-9]{0,2}(?: ?\(0\))?(?:[ .\-/\x{A0}]?[0-9]){6,14})\b",
            lambda value, _: _is_international(value.replace("(0)", "")),
            _LONGER,
        ),
        _number("phone", r"00[1-9](?:[ .\-/]?[0-9]){8,13}\b", _is_international),
        Shape("phone", r"(?P<value>\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[\-. ][0-9]{4})\b"),
        _number("phone", r"[2-9][0-9]{2}[\-.][2-9][0-9]{2}[\-.][0-9]{4}\b", _same_separators),
        _number("phone", r"0[1-9][0-9]{0,3}[ /\-][0-9]{6,8}\b"),
        _number("phone", r"0[1-9][0-9]{1,4} [0-9]{3,4} [0-9]{3,4}\b"),
        _number("phone", r"0[1-9](?:[ .\-][0-9]{2}){4}\b"),
        _number("phone", r"3[0-9]{2} [0-9]{3} [0-9]{4}\b"),
    ),
)
_NINO = r"[ABCEGHJ-PRSTW-Z][ABCEGHJ-NPRSTW-Z]"
_MONTH, _DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12][0-9]|3[01])"
_BSN = r"(?i:bsn|burgerservicenummer|sofinummer)[^0-9\n]{1,20}(?P<value>[0-9]{9})\b"

DETECTORS: Mapping[str, Detector] = {
    detector.name: detector
    for detector in (
        CREDENTIALS,
        PRIVATE_KEYS,
        CARDS,
        IBAN,
        EMAIL,
        PHONE,
        _one("us_ssn", check_digits.us_ssn, r"[0-8][0-9]{2}[ \-][0-9]{2}[ \-][0-9]{4}\b"),
        _one("uk_nino", check_digits.uk_nino, _NINO + r"(?: ?[0-9]{2}){3} ?[A-D]\b"),
        _one("de_steuer_id", check_digits.de_steuer_id, r"[1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}\b"),
        _one(
            "fr_nir",
            check_digits.fr_nir,
            rf"[12] ?[0-9]{{2}} ?{_MONTH} ?(?:[0-9]{{2}}|2[AB]) ?[0-9]{{3}} ?[0-9]{{3}} ?[0-9]{{2}}\b",
        ),
        _one("es_dni", check_digits.es_dni, r"(?:[0-9]{8}|[XYZ]-?[0-9]{7})-?[A-HJ-NP-TV-Z]\b"),
        _one(
            "it_codice_fiscale",
            check_digits.it_codice_fiscale,
            r"[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]\b",
        ),
        Detector("nl_bsn", (Shape("nl_bsn", _BSN, lambda value, _: check_digits.nl_bsn(value)),)),
        _one(
            "be_national_number",
            check_digits.be_national_number,
            rf"[0-9]{{2}}{_MONTH}{_DAY}[0-9]{{5}}\b",
            rf"[0-9]{{2}}\.{_MONTH}\.{_DAY}-[0-9]{{3}}\.[0-9]{{2}}\b",
        ),
        _one("pl_pesel", check_digits.pl_pesel, rf"[0-9]{{2}}(?:[02468][1-9]|[13579][0-2]){_DAY}[0-9]{{5}}\b"),
        _one("se_personnummer", check_digits.se_personnummer, rf"(?:19|20)?[0-9]{{2}}{_MONTH}{_DAY}[\-+][0-9]{{4}}\b"),
    )
}
"""By name, as a policy names them."""

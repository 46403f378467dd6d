"""The labelled sample the leak guard is measured on: what must be found, and what looks like it and must not be.

It was fixed before the first detector was written, and is made from the formats' own specifications (named at each
maker), never from a pattern of ours. The values are random under a fixed seed, so none of them is anybody's.
"""

# ruff: noqa: ARG001, ARG005, PLR2004, E501, RUF001 - makers that draw nothing; literal cases read best on one line; Chinese commas;
# the numbers are the issuers' own

import base64
import hashlib
import json
import random
import string
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

SEED = 20_260_701
EACH = 4
"""Values of each format; each stands in every one of the settings."""

ALNUM = string.ascii_letters + string.digits
BASE64 = ALNUM + "+/"
BASE64URL = ALNUM + "-_"
BASE32 = string.ascii_uppercase + "234567"
HEX = "0123456789abcdef"


class Leak(NamedTuple):
    """`value` stands in `text` and must be found, by the detector `detector`. `format`: what it is, for the table."""

    detector: str
    format: str
    value: str
    text: str


class LookAlike(NamedTuple):
    """A text in which nothing may be found. `kind`: what it is, for the table."""

    kind: str
    text: str


type Draw = random.Random
type Maker = Callable[[Draw], str]


def leaks() -> list[Leak]:
    """Give every format's values in every setting; the same ones each time."""
    return [
        Leak(detector, name, value, text)
        for (detector, name), maker in _MAKERS.items()
        for value in _values(f"{detector}/{name}", maker)
        for text in _settings(detector, name, value)
    ]


def look_alikes() -> list[LookAlike]:
    """Give texts that hold nothing secret, each kind several times; the same ones each time."""
    found = [
        LookAlike(kind, text)
        for kind, maker in _LOOK_ALIKES.items()
        for value in _values(kind, maker)
        for text in _plain_settings(value)
    ]
    return found + [LookAlike("prose", text) for text in _PROSE] + [LookAlike("code", text) for text in _CODE]


def _values(name: str, maker: Maker) -> list[str]:
    draw = random.Random(f"{SEED}/{name}")  # noqa: S311 - a sample that is the same each time
    return [maker(draw) for _ in range(EACH)]


def _of(draw: Draw, alphabet: str, length: int) -> str:
    return "".join(draw.choice(alphabet) for _ in range(length))


# Settings: a value in prose, JSON, code, Markdown and over several lines. The name that stands beside it is the
# format's own; half of the settings have no name at all.


def _settings(detector: str, name: str, value: str) -> Iterator[str]:
    if name in _WHOLE_TEXTS:
        yield from _WHOLE_TEXTS[name](value)
        return
    label = _LABELS.get(name, name.replace("_", " "))
    yield f"Of course. The {label} you asked for is {value}, please keep it safe."
    yield json.dumps({"id": 7, "note": value, "tags": ["a", "b"]})
    yield f"client = connect(\n    region,\n    '{value}',\n)"
    yield f"| field | value |\n|---|---|\n| {label} | `{value}` |\n"
    yield f"Summary of the ticket:\n\n- opened yesterday\n- {label}:\n  {value}\n- closed today\n"
    yield json.dumps(json.dumps({"lines": f"first\n{value}\nlast"}))


def _plain_settings(value: str) -> Iterator[str]:
    yield f"As said before, it is {value}, and that is all there is to know."
    yield json.dumps({"value": value, "count": 3})
    yield f"- first\n- {value}\n- last\n"


_LABELS = {
    "us_ssn": "social security number",
    "uk_nino": "National Insurance number",
    "de_steuer_id": "Steuer-ID",
    "fr_nir": "numéro de sécurité sociale",
    "es_dni": "DNI",
    "es_nie": "NIE",
    "it_codice_fiscale": "codice fiscale",
    "nl_bsn": "BSN",
    "be_national_number": "rijksregisternummer",
    "pl_pesel": "PESEL",
    "se_personnummer": "personnummer",
}


# Credentials.


def _aws_secret_settings(value: str) -> Iterator[str]:
    """The places AWS' own documentation shows a secret key in: credentials file, environment, JSON of the CLI."""
    yield f"[default]\naws_access_key_id = (see above)\naws_secret_access_key = {value}\n"
    yield f"export AWS_SECRET_ACCESS_KEY={value}"
    yield json.dumps({"AccessKey": {"UserName": "bob", "SecretAccessKey": value, "Status": "Active"}})
    yield f"client = boto3.client('s3', aws_secret_access_key='{value}')"
    yield f"Your AWS secret access key is `{value}`."
    yield json.dumps(json.dumps({"secretAccessKey": value}))


def _password_settings(value: str) -> Iterator[str]:
    yield f"password={value}"
    yield f"DB_PASSWORD={value}\nDB_HOST=db.internal\n"
    yield json.dumps({"user": "svc", "password": value})
    yield f'login(user="svc", passwd="{value}")'
    yield f"db:\n  user: svc\n  password: {value}\n"
    yield json.dumps(json.dumps({"password": value}))


def _bearer_settings(value: str) -> Iterator[str]:
    """RFC 6750, section 2.1."""
    yield f"curl -H 'Authorization: Bearer {value}' https://api.example.com/v1"
    yield f"GET / HTTP/1.1\r\nHost: example.com\r\nAuthorization: Bearer {value}\r\n\r\n"
    yield json.dumps({"headers": {"Authorization": f"Bearer {value}"}})
    yield f"headers = {{'authorization': 'Bearer {value}'}}"
    yield f"Send `Authorization: Bearer {value}` with each call."
    yield json.dumps(json.dumps({"Authorization": f"Bearer {value}"}))


def _url_settings(value: str) -> Iterator[str]:
    """RFC 3986, section 3.2.1; `value` is the password."""
    yield f"postgres://svc:{value}@db.example.com:5432/app"
    yield f"Clone it from https://deploy:{value}@git.example.com/team/app.git, then build."
    yield json.dumps({"url": f"redis://default:{value}@cache.example.com:6379/0"})
    yield f"conn = connect('amqp://guest:{value}@10.1.2.3/vhost')"
    yield f"[the feed](https://reader:{value}@feeds.example.com/a.xml)"
    yield f"hosts:\n  - mongodb+srv://root:{value}@c0.example.com/test?retryWrites=true\n"


_WHOLE_TEXTS: dict[str, Callable[[str], Iterator[str]]] = {
    "aws_secret_key": _aws_secret_settings,
    "password": _password_settings,
    "bearer_token": _bearer_settings,
    "url_password": _url_settings,
}


def _jwt(draw: Draw) -> str:
    """RFC 7519, section 3: three parts in base64url, the first two JSON objects."""
    header = {"alg": draw.choice(["RS256", "ES256", "HS256"]), "typ": "JWT", "kid": _of(draw, ALNUM, 12)}
    claims = {"iss": "https://login.example.com/", "sub": str(draw.randrange(10**9)), "exp": draw.randrange(2 * 10**9)}
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), draw.randbytes(draw.choice([32, 64, 256]))]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _github_fine(draw: Draw) -> str:
    return f"github_pat_{_of(draw, ALNUM, 22)}_{_of(draw, ALNUM, 59)}"


def _slack_bot(draw: Draw) -> str:
    """Slack's documentation, "Token types": `xoxb-`, then numbers and a part of letters and digits."""
    return f"xoxb-{draw.randrange(10**11, 10**12)}-{draw.randrange(10**12, 10**13)}-{_of(draw, ALNUM, 24)}"


def _slack_user(draw: Draw) -> str:
    numbers = "-".join(str(draw.randrange(10**11, 10**12)) for _ in range(3))
    return f"xoxp-{numbers}-{_of(draw, HEX, 32)}"


def _slack_webhook(draw: Draw) -> str:
    parts = (_of(draw, BASE32, 10), _of(draw, BASE32, 10), _of(draw, ALNUM, 24))
    return "https://hooks.slack.com/services/T{}/B{}/{}".format(*parts)


def _password(draw: Draw) -> str:
    return _of(draw, ALNUM, 10) + draw.choice("!#%*?") + _of(draw, string.digits, 3)


_CREDENTIALS: dict[str, Maker] = {
    # AWS, IAM user guide, "IAM identifiers": unique id prefixes; 20 characters of base32.
    "aws_access_key": lambda draw: draw.choice(["AKIA", "ASIA"]) + _of(draw, BASE32, 16),
    "aws_secret_key": lambda draw: _of(draw, BASE64, 40),
    # GitHub, "Behind GitHub's new authentication token formats".
    "github_token": lambda draw: draw.choice(["ghp_", "gho_", "ghu_", "ghs_", "ghr_"]) + _of(draw, ALNUM, 36),
    "github_fine_grained": _github_fine,
    # GitLab, "Token overview", "Token prefixes".
    "gitlab_token": lambda draw: draw.choice(["glpat-", "gldt-", "glrt-", "glptt-"]) + _of(draw, BASE64URL, 20),
    "slack_bot_token": _slack_bot,
    "slack_user_token": _slack_user,
    "slack_webhook": _slack_webhook,
    # Stripe, "API keys": secret and restricted keys, live and test; webhook secrets.
    "stripe_key": lambda draw: draw.choice(["sk_live_", "sk_test_", "rk_live_"]) + _of(draw, ALNUM, 99),
    "stripe_key_short": lambda draw: draw.choice(["sk_live_", "rk_live_"]) + _of(draw, ALNUM, 24),
    "stripe_webhook_secret": lambda draw: "whsec_" + _of(draw, ALNUM, 32),
    "openai_key": lambda draw: "sk-" + _of(draw, ALNUM, 48),
    "openai_project_key": lambda draw: "sk-proj-" + _of(draw, BASE64URL, 156),
    "anthropic_key": lambda draw: "sk-ant-api03-" + _of(draw, BASE64URL, 93) + "AA",
    # Google Cloud, "API keys overview": 39 characters; OAuth client secrets, access and refresh tokens.
    "google_api_key": lambda draw: "AIza" + _of(draw, BASE64URL, 35),
    "google_client_secret": lambda draw: "GOCSPX-" + _of(draw, BASE64URL, 28),
    "google_access_token": lambda draw: "ya29." + _of(draw, BASE64URL, 160),
    "google_refresh_token": lambda draw: "1//0" + _of(draw, BASE64URL, 98),
    "jwt": _jwt,
    "url_password": lambda draw: _of(draw, ALNUM, 14),
    "password": _password,
    "bearer_token": lambda draw: _of(draw, BASE64URL, 40),
}


# Private keys: RFC 7468 (PEM), OpenSSH's PROTOCOL.key, RFC 9580 section 6.2 (OpenPGP).


def _pem(label: str, size: int, headers: str = "") -> Maker:
    def make(draw: Draw) -> str:
        body = base64.b64encode(draw.randbytes(size)).decode()
        lines = [body[start : start + 64] for start in range(0, len(body), 64)]
        return f"-----BEGIN {label}-----\n{headers}" + "\n".join(lines) + f"\n-----END {label}-----"

    return make


_ENCRYPTED = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0123456789ABCDEF0123456789ABCDEF\n\n"

_PRIVATE_KEYS: dict[str, Maker] = {
    "pkcs8": _pem("PRIVATE KEY", 1218),
    "pkcs8_ec": _pem("PRIVATE KEY", 138),
    "pkcs8_encrypted": _pem("ENCRYPTED PRIVATE KEY", 1300),
    "rsa": _pem("RSA PRIVATE KEY", 2350),
    "rsa_encrypted": _pem("RSA PRIVATE KEY", 1190, _ENCRYPTED),
    "ec": _pem("EC PRIVATE KEY", 121),
    "openssh": _pem("OPENSSH PRIVATE KEY", 399),
    "pgp": _pem("PGP PRIVATE KEY BLOCK", 3600, "Version: GnuPG v2\nComment: made for nobody\n\n"),
}


# Payment cards: ISO/IEC 7812-1 (length, Luhn) and each network's published ranges.


def _luhn_digit(digits: str) -> str:
    total = sum(sum(divmod(int(digit) * (2 - place % 2), 10)) for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def _card(prefixes: tuple[str, ...], length: int) -> Maker:
    def make(draw: Draw) -> str:
        start = draw.choice(prefixes)
        start += _of(draw, string.digits, length - len(start) - 1)
        return start + _luhn_digit(start)

    return make


def _grouped(maker: Maker, groups: tuple[int, ...], separator: str) -> Maker:
    def make(draw: Draw) -> str:
        rest = maker(draw)
        parts = []
        for size in groups:
            parts.append(rest[:size])
            rest = rest[size:]
        return separator.join([*parts, rest] if rest else parts)

    return make


_NETWORKS: dict[str, tuple[tuple[str, ...], int, tuple[int, ...]]] = {
    "visa": (("4",), 16, (4, 4, 4, 4)),
    "visa_13": (("4",), 13, (4, 3, 3, 3)),
    "visa_19": (("4",), 19, (4, 4, 4, 4, 3)),
    "mastercard": (("51", "52", "53", "54", "55"), 16, (4, 4, 4, 4)),
    "mastercard_2": (("2221", "2400", "2699", "2720"), 16, (4, 4, 4, 4)),
    "amex": (("34", "37"), 15, (4, 6, 5)),
    "discover": (("6011", "644", "649", "65"), 16, (4, 4, 4, 4)),
    "diners": (("300", "305", "36", "38"), 14, (4, 6, 4)),
    "jcb": (("3528", "3550", "3589"), 16, (4, 4, 4, 4)),
    "unionpay": (("62",), 16, (4, 4, 4, 4)),
    "unionpay_19": (("62",), 19, (6, 13)),
    "maestro": (("5018", "5020", "5038", "6304", "6759"), 16, (4, 4, 4, 4)),
    "mir": (("2200", "2204"), 16, (4, 4, 4, 4)),
    "rupay": (("508", "6521", "817"), 16, (4, 4, 4, 4)),
}
_CARDS: dict[str, Maker] = {
    f"{name}{form}": _card(prefixes, length) if not separator else _grouped(_card(prefixes, length), groups, separator)
    for name, (prefixes, length, groups) in _NETWORKS.items()
    for form, separator in (("", ""), (" spaces", " "), (" dashes", "-"))
}


# IBAN: ISO 13616; the SWIFT registry's lengths. `n` digits, `a` capital letters, `c` both.

_IBANS = {
    "AD": "8n12c", "AE": "19n", "AL": "8n16c", "AT": "16n", "AZ": "4a20c", "BA": "16n", "BE": "12n", "BG": "4a6n8c",
    "BH": "4a14c", "BR": "23n1a1c", "BY": "4c4n16c", "CH": "5n12c", "CR": "18n", "CY": "8n16c", "CZ": "20n",
    "DE": "18n", "DK": "14n", "DO": "4c20n", "EE": "16n", "EG": "25n", "ES": "20n", "FI": "14n", "FO": "14n",
    "FR": "10n11c2n", "GB": "4a14n", "GE": "2a16n", "GI": "4a15c", "GL": "14n", "GR": "7n16c", "GT": "4c20c",
    "HR": "17n", "HU": "24n", "IE": "4a14n", "IL": "19n", "IQ": "4a15n", "IS": "22n", "IT": "1a10n12c", "JO": "4a4n18c",
    "KW": "4a22c", "KZ": "3n13c", "LB": "4n20c", "LC": "4a24c", "LI": "5n12c", "LT": "16n", "LU": "3n13c", "LV": "4a13c",
    "MC": "10n11c2n", "MD": "2c18c", "ME": "18n", "MK": "3n10c2n", "MR": "23n", "MT": "4a5n18c", "MU": "4a19n3a",
    "NL": "4a10n", "NO": "11n", "PK": "4a16c", "PL": "24n", "PS": "4a21c", "PT": "21n", "QA": "4a21c", "RO": "4a16c",
    "RS": "18n", "SA": "2n18c", "SE": "20n", "SI": "15n", "SK": "20n", "SM": "1a10n12c", "TN": "20n", "TR": "6n16c",
    "UA": "6n19c", "VA": "18n", "VG": "4a16n", "XK": "16n",
}  # fmt: skip


def _iban(country: str, structure: str) -> Maker:
    alphabets = {"n": string.digits, "a": string.ascii_uppercase, "c": string.ascii_uppercase + string.digits}

    def make(draw: Draw) -> str:
        account, number = "", ""
        for character in structure:
            if character in alphabets:
                account += _of(draw, alphabets[character], int(number))
                number = ""
            else:
                number += character
        remainder = int("".join(str(int(char, 36)) for char in f"{account}{country}00")) % 97
        return f"{country}{98 - remainder:02d}{account}"

    return make


def _in_fours(maker: Maker) -> Maker:
    def make(draw: Draw) -> str:
        text = maker(draw)
        return " ".join(text[start : start + 4] for start in range(0, len(text), 4))

    return make


_IBAN_MAKERS: dict[str, Maker] = {
    f"iban {country}{form}": wrap(_iban(country, structure))
    for country, structure in _IBANS.items()
    for form, wrap in (("", lambda maker: maker), (" grouped", _in_fours))
}


# E-mail: RFC 5321 section 4.1.2, RFC 5322 section 3.4.1, RFC 5233 (subaddress), RFC 6531 (international).


def _name(draw: Draw) -> str:
    return _of(draw, string.ascii_lowercase, draw.randrange(3, 9))


_EMAILS: dict[str, Maker] = {
    "plain": lambda draw: f"{_name(draw)}@{_name(draw)}.com",
    "dotted": lambda draw: f"{_name(draw)}.{_name(draw)}@mail.{_name(draw)}.co.uk",
    "subaddress": lambda draw: f"{_name(draw)}+{_name(draw)}@{_name(draw)}.org",
    "capitals": lambda draw: f"{_name(draw).title()}.{_name(draw).title()}@{_name(draw).upper()}.DE",
    "atoms": lambda draw: f"{_name(draw)}{draw.choice("!#$%&*/=?^_`{|}~'")}{_name(draw)}@{_name(draw)}.net",
    "hyphens": lambda draw: f"{_name(draw)}-{_name(draw)}@{_name(draw)}-{_name(draw)}.io",
    "quoted": lambda draw: f'"{_name(draw)} {_name(draw)}"@{_name(draw)}.com',
    "idn domain": lambda draw: (
        f"{_name(draw)}@{draw.choice(['müller', 'bücher', 'россия', '例子'])}.{draw.choice(['de', 'рф', '公司'])}"
    ),
    "punycode": lambda draw: f"{_name(draw)}@xn--{_of(draw, string.ascii_lowercase + string.digits, 8)}.xn--p1ai",
    "idn local": lambda draw: (
        f"{draw.choice(['josé', 'jürgen', 'иван', '用户'])}{draw.randrange(99)}@{_name(draw)}.org"
    ),
    "long tld": lambda draw: f"{_name(draw)}@{_name(draw)}.photography",
}


# Phone numbers: ITU-T E.164 (+ and at most 15 digits), E.123 (spacing) and the usual national ways of writing.


def _phone(shape: str) -> Maker:
    """`#` any digit, `N` 2-9."""

    def make(draw: Draw) -> str:
        kinds = {"#": string.digits, "N": "23456789"}
        return "".join(draw.choice(kinds[char]) if char in kinds else char for char in shape)

    return make


_PHONES = {
    name: _phone(shape)
    for name, shape in {
        "e164 us": "+1N##N######",
        "e164 de": "+4915N########",
        "e164 fr": "+336########",
        "e164 in": "+919#########",
        "e164 cn": "+8613#########",
        "e123 us": "+1 N## N## ####",
        "e123 de": "+49 30 N#######",
        "e123 fr": "+33 6 ## ## ## ##",
        "e123 gb": "+44 20 7### ####",
        "international (0)": "+44 (0)20 7### ####",
        "international 00": "0049 151 N#######",
        "us parentheses": "(N##) N##-####",
        "us dashes": "N##-N##-####",
        "us dots": "N##.N##.####",
        "gb mobile": "07### ######",
        "gb london": "020 7### ####",
        "fr national": "06 ## ## ## ##",
        "de national": "0151 N#######",
        "de slash": "030/N#######",
        "nl mobile": "06-########",
        "es national": "6## ### ###",
        "it national": "3## ### ####",
    }.items()
}


# National ids, each by its issuer's rules.


def _us_ssn(draw: Draw) -> str:
    """Social Security Administration: no area 000, 666, 900-999, no group 00, no serial 0000."""
    area = draw.choice([number for number in range(1, 900) if number != 666])
    return f"{area:03d}-{draw.randrange(1, 100):02d}-{draw.randrange(1, 10_000):04d}"


def _uk_nino(draw: Draw) -> str:
    """HMRC, NIM39110."""
    while True:
        prefix = draw.choice("ABCEGHJKLMNOPRSTWXYZ") + draw.choice("ABCEGHJKLMNPRSTWXYZ")
        if prefix not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}:
            return prefix + _of(draw, string.digits, 6) + draw.choice("ABCD")


def _nino_spaced(draw: Draw) -> str:
    text = _uk_nino(draw)
    return " ".join((text[:2], text[2:4], text[4:6], text[6:8], text[8]))


def _de_steuer_id(draw: Draw) -> str:
    """BZSt: eleven digits, no leading 0, one of the first ten twice or thrice; ISO 7064 MOD 11,10."""
    digits = list(string.digits)
    draw.shuffle(digits)
    digits[draw.randrange(1, 10)] = digits[0]
    draw.shuffle(digits)
    while digits[0] == "0" or any(digits[i] == digits[i + 1] == digits[i + 2] for i in range(8)):
        draw.shuffle(digits)
    product = 10
    for digit in digits:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return "".join(digits) + str((11 - product) % 10)


def _steuer_spaced(draw: Draw) -> str:
    text = _de_steuer_id(draw)
    return " ".join((text[:2], text[2:5], text[5:8], text[8:]))


def _fr_nir(draw: Draw) -> str:
    """INSEE: sex, year, month, department (2A and 2B count as 19 and 18), commune, order, key 97 - n mod 97."""
    department = draw.choice([f"{number:02d}" for number in range(1, 96) if number != 20] + ["2A", "2B"])
    head = f"{draw.choice('12')}{draw.randrange(100):02d}{draw.randrange(1, 13):02d}{department}"
    head += f"{draw.randrange(1, 990):03d}{draw.randrange(1, 1000):03d}"
    number = int(head.replace("2A", "19").replace("2B", "18")) if department in {"2A", "2B"} else int(head)
    return f"{head}{97 - number % 97:02d}"


def _nir_spaced(draw: Draw) -> str:
    text = _fr_nir(draw)
    return " ".join((text[0], text[1:3], text[3:5], text[5:7], text[7:10], text[10:13], text[13:]))


_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"


def _es_dni(draw: Draw) -> str:
    """Ministerio del Interior: the letter is the number mod 23."""
    number = draw.randrange(1_000_000, 100_000_000)
    return f"{number:08d}{_DNI[number % 23]}"


def _es_nie(draw: Draw) -> str:
    first, number = draw.randrange(3), draw.randrange(10_000_000)
    return f"{'XYZ'[first]}{number:07d}{_DNI[(first * 10_000_000 + number) % 23]}"


_ODD = dict(
    zip(
        string.digits + string.ascii_uppercase,
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10,
         22, 25, 24, 23],
        strict=True,
    )
)  # fmt: skip


def _it_codice_fiscale(draw: Draw) -> str:
    """Decreto 12 marzo 1974 n. 2227: names, year, month letter, day (women + 40), place, check letter."""
    consonants = "BCDFGLMNPRSTVZ"
    text = _of(draw, consonants, 6) + f"{draw.randrange(100):02d}" + draw.choice("ABCDEHLMPRST")
    text += (
        f"{draw.randrange(1, 29) + draw.choice([0, 40]):02d}" + draw.choice("ABCDEFGHIL") + _of(draw, "0123456789", 3)
    )
    values = [
        _ODD[char] if place % 2 == 0 else int(char, 36) - (10 if char.isalpha() else 0)
        for place, char in enumerate(text)
    ]
    return text + string.ascii_uppercase[sum(values) % 26]


def _nl_bsn(draw: Draw) -> str:
    """Wet algemene bepalingen burgerservicenummer; the eleven test."""
    while True:
        text = str(draw.randrange(100_000_000, 1_000_000_000))
        weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
        if sum(weight * int(digit) for weight, digit in zip(weights, text, strict=True)) % 11 == 0:
            return text


def _be_plain(draw: Draw) -> str:
    """Koninklijk besluit 3 april 1984: birth date, order, 97 - n mod 97 (2 before the number from 2000 on)."""
    later = draw.random() < 0.4
    year = draw.randrange(25) if later else draw.randrange(30, 100)
    head = f"{year:02d}{draw.randrange(1, 13):02d}{draw.randrange(1, 29):02d}{draw.randrange(1, 998):03d}"
    return f"{head}{97 - int(('2' if later else '') + head) % 97:02d}"


def _be_dotted(draw: Draw) -> str:
    text = _be_plain(draw)
    return f"{text[:2]}.{text[2:4]}.{text[4:6]}-{text[6:9]}.{text[9:]}"


def _pl_pesel(draw: Draw) -> str:
    """Ustawa o ewidencji ludności, art. 15: month + 20 from 2000 on; weights 1 3 7 9."""
    later = draw.random() < 0.4
    year, month = (draw.randrange(25), 20) if later else (draw.randrange(30, 100), 0)
    head = f"{year:02d}{month + draw.randrange(1, 13):02d}{draw.randrange(1, 29):02d}{draw.randrange(10_000):04d}"
    total = sum(weight * int(digit) for weight, digit in zip((1, 3, 7, 9, 1, 3, 7, 9, 1, 3), head, strict=True))
    return head + str(-total % 10)


def _se_short(draw: Draw) -> str:
    """Skatteverket SKV 704: YYMMDD-NNNC, Luhn over the ten digits."""
    head = f"{draw.randrange(100):02d}{draw.randrange(1, 13):02d}{draw.randrange(1, 29):02d}{draw.randrange(1000):03d}"
    return f"{head[:6]}-{head[6:]}{_luhn_digit(head)}"


def _se_long(draw: Draw) -> str:
    return f"19{_se_short(draw)}"


_IDS: dict[str, dict[str, Maker]] = {
    "us_ssn": {"us_ssn": _us_ssn, "us_ssn spaces": lambda draw: _us_ssn(draw).replace("-", " ")},
    "uk_nino": {"uk_nino": _uk_nino, "uk_nino spaces": _nino_spaced},
    "de_steuer_id": {"de_steuer_id": _de_steuer_id, "de_steuer_id spaces": _steuer_spaced},
    "fr_nir": {"fr_nir": _fr_nir, "fr_nir spaces": _nir_spaced},
    "es_dni": {
        "es_dni": _es_dni,
        "es_dni dash": lambda draw: f"{(text := _es_dni(draw))[:8]}-{text[8]}",
        "es_nie": _es_nie,
    },
    "it_codice_fiscale": {"it_codice_fiscale": _it_codice_fiscale},
    "nl_bsn": {"nl_bsn": _nl_bsn},
    "be_national_number": {"be_national_number": _be_dotted, "be_national_number plain": _be_plain},
    "pl_pesel": {"pl_pesel": _pl_pesel},
    "se_personnummer": {"se_personnummer": _se_short, "se_personnummer long": _se_long},
}

_MAKERS: Mapping[tuple[str, str], Maker] = {
    (detector, name): maker
    for detector, makers in {
        "credentials": _CREDENTIALS,
        "private_keys": _PRIVATE_KEYS,
        "cards": _CARDS,
        "iban": _IBAN_MAKERS,
        "email": _EMAILS,
        "phone": _PHONES,
        **_IDS,
    }.items()
    for name, maker in makers.items()
}


# Look-alikes. (A value of each kind, some of them always the same.)


def _wrong(maker: Maker, place: int = -1) -> Maker:
    """A value whose check digit is wrong."""

    def make(draw: Draw) -> str:
        text = maker(draw)
        changed = str((int(text[place]) + draw.randrange(1, 9)) % 10)
        return f"{text[:place]}{changed}{text[place + 1 :] if place != -1 else ''}"

    return make


def _isbn(draw: Draw) -> str:
    """ISO 2108."""
    head = "978" + _of(draw, string.digits, 9)
    check = -sum(int(digit) * (1 + 2 * (place % 2)) for place, digit in enumerate(head)) % 10
    return f"{head[:3]}-{head[3]}-{head[4:8]}-{head[8:]}-{check}"


def _uuid(draw: Draw) -> str:
    return str(uuid.UUID(int=draw.getrandbits(128), version=4))


def _sha(draw: Draw) -> str:
    return hashlib.sha1(draw.randbytes(8), usedforsecurity=False).hexdigest()


def _image(draw: Draw) -> str:
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + draw.randbytes(2000)).decode()


def _ups(draw: Draw) -> str:
    return "1Z" + _of(draw, string.ascii_uppercase + string.digits, 6) + _of(draw, string.digits, 10)


_LOOK_ALIKES: dict[str, Maker] = {
    "order number": lambda draw: f"ORD-{draw.randrange(10**7, 10**8)}",
    "order number, long": lambda draw: f"2026-{draw.randrange(10**5, 10**6)}-{draw.randrange(10**3, 10**4)}",
    "invoice": lambda draw: f"INV/2026/{draw.randrange(10**4, 10**5)}",
    "amazon order": lambda draw: (
        f"{draw.randrange(100, 1000)}-{_of(draw, string.digits, 7)}-{_of(draw, string.digits, 7)}"
    ),
    "uuid": _uuid,
    "git sha": _sha,
    "sha256": lambda draw: hashlib.sha256(draw.randbytes(8)).hexdigest(),
    "md5": lambda draw: _of(draw, HEX, 32),
    "base64 image": _image,
    "hex colour": lambda draw: f"#{_of(draw, HEX, 6)}",
    "version": lambda draw: f"v{draw.randrange(20)}.{draw.randrange(50)}.{draw.randrange(200)}-rc.{draw.randrange(9)}",
    "date": lambda draw: f"20{draw.randrange(10, 30)}-{draw.randrange(1, 13):02d}-{draw.randrange(1, 29):02d}",
    "date and time": lambda draw: (
        f"2026-07-{draw.randrange(1, 29):02d}T12:{draw.randrange(60):02d}:00.{_of(draw, string.digits, 6)}Z"
    ),
    "date range": lambda draw: f"{draw.randrange(1900, 1950)}-{draw.randrange(1950, 2026)}",
    "unix time, ms": lambda draw: str(draw.randrange(1_600_000_000_000, 1_900_000_000_000)),
    "unix time": lambda draw: str(draw.randrange(1_600_000_000, 1_900_000_000)),
    "card, wrong digit": _wrong(_card(("4", "51", "2221"), 16)),
    "card, wrong digit, spaces": _grouped(_wrong(_card(("4", "51", "2221"), 16)), (4, 4, 4, 4), " "),
    "16 digits of no network": _card(("9", "10", "7"), 16),
    "iban, wrong digit": _wrong(_iban("DE", "18n"), 9),
    "iban, wrong country": lambda draw: "QZ" + _iban("DE", "18n")(draw)[2:],
    "iban, wrong length": lambda draw: _iban("DE", "18n")(draw)[:-2],
    "steuer-id, wrong digit": _wrong(_de_steuer_id),
    "nir, wrong key": _wrong(_fr_nir),
    "pesel, wrong digit": _wrong(_pl_pesel),
    "bsn, wrong digit": _wrong(_nl_bsn),
    "personnummer, wrong digit": _wrong(_se_short),
    "belgian number, wrong digit": _wrong(_be_dotted),
    "dni, wrong letter": lambda draw: f"{(text := _es_dni(draw))[:8]}{_DNI[(_DNI.index(text[8]) + 5) % 23]}",
    "codice fiscale, wrong letter": lambda draw: (
        f"{(text := _it_codice_fiscale(draw))[:15]}{chr(65 + (ord(text[15]) - 60) % 26)}"
    ),
    "ssn that isn't given out": lambda draw: (
        f"{draw.choice(['000', '666', '912'])}-{draw.randrange(10, 99)}-{draw.randrange(1000, 9999)}"
    ),
    "nino that isn't given out": lambda draw: (
        f"{draw.choice(['BG', 'GB', 'ZZ', 'DA', 'AO'])}{_of(draw, string.digits, 6)}A"
    ),
    "isbn": _isbn,
    "ups tracking": _ups,
    "9 digits": lambda draw: str(draw.randrange(100_000_000, 1_000_000_000)),
    "11 digits": lambda draw: str(draw.randrange(10**10, 10**11)),
    "20 digits": lambda draw: _of(draw, "123456789", 20),
    "40 digits": lambda draw: _of(draw, "123456789", 40),
    "ipv4": lambda draw: ".".join(str(draw.randrange(256)) for _ in range(4)),
    "ipv6": lambda draw: "2001:db8:" + ":".join(_of(draw, HEX, 4) for _ in range(6)),
    "mac address": lambda draw: ":".join(_of(draw, HEX, 2) for _ in range(6)),
    "mathematics": lambda draw: f"{draw.randrange(10**6)} + {draw.randrange(10**6)} * {draw.random():.12f} = x^2 - 3y",
    "pi": lambda draw: "3.14159265358979323846264338327950288419716939937510"[: draw.randrange(20, 52)],
    "grouped number": lambda draw: f"{draw.randrange(1, 999)} {draw.randrange(100, 999)} {draw.randrange(100, 999)}.50",
    "comma number": lambda draw: f"${draw.randrange(1, 999)},{draw.randrange(100, 999)},{draw.randrange(100, 999)}.00",
    "coordinates": lambda draw: f"{draw.uniform(-90, 90):.6f}, {draw.uniform(-180, 180):.6f}",
    "snake identifier": lambda draw: f"get_{_name(draw)}_{_name(draw)}_token_for_{_name(draw)}",
    "css class": lambda draw: f"sk-{_name(draw)}-{_name(draw)}-spinner",
    "npm package": lambda draw: (
        f"@{_name(draw)}/{_name(draw)}@{draw.randrange(9)}.{draw.randrange(20)}.{draw.randrange(9)}"
    ),
    "ssh remote without a password": lambda draw: f"ssh://git@{draw.choice(['a', 'b'])}/{_name(draw)}",
    "url with a port": lambda draw: (
        f"https://{_name(draw)}.example.com:8443/{_name(draw)}?a=1&b={draw.randrange(10**6)}"
    ),
    "time in a url": lambda draw: f"http://localhost:3000/@{_name(draw)}",
    "mention": lambda draw: f"@{_name(draw)}_{draw.randrange(99)}",
    "decorator": lambda draw: f"@{_name(draw)}.{_name(draw)}",
    "public key": _pem("PUBLIC KEY", 294),
    "certificate": _pem("CERTIFICATE", 900),
    "github sha in a url": lambda draw: f"https://github.com/{_name(draw)}/{_name(draw)}/commit/{_sha(draw)}",
    "placeholder password": lambda draw: (
        f"password={draw.choice(['<your-password>', '${DB_PASSWORD}', '********', '{{ password }}'])}"
    ),
    "placeholder bearer": lambda draw: (
        f"Authorization: Bearer {draw.choice(['$TOKEN', '<token>', '${API_KEY}', '{token}'])}"
    ),
    "placeholder key": lambda draw: draw.choice(["sk-...", "sk-xxxx", "AKIA...", "ghp_xxx", "sk_test_..."]),
    "arn": lambda draw: f"arn:aws:iam::{_of(draw, '123456789', 12)}:role/{_name(draw)}",
    "aws account id": lambda draw: _of(draw, "123456789", 12),
    "role id": lambda draw: "AROA" + _of(draw, BASE32, 16),
    "ean 13": lambda draw: f"40{_of(draw, string.digits, 11)}",
    "bank code": lambda draw: f"BLZ {draw.randrange(10**7, 10**8)}",
    "bic": lambda draw: draw.choice(["DEUTDEFF", "NEDSZAJJXXX", "BNPAFRPP", "COBADEFFXXX"]),
    "percentage table": lambda draw: " | ".join(f"{draw.random() * 100:.2f}" for _ in range(8)),
    "years": lambda draw: "2019 2020 2021 2022 2023 2024 2025 2026",
    "chess": lambda draw: "1. e4 e5 2. Nf3 Nc6 3. Bb5 a6 4. Ba4 Nf6 5. O-O Be7 6. Re1 b5 7. Bb3 d6 8. c3 O-O",
    "score": lambda draw: (
        f"{draw.randrange(9)}-{draw.randrange(9)}, {draw.randrange(99)}-{draw.randrange(99)}, 21-19 21-17"
    ),
}

_PROSE = (
    "The password is the first thing people forget, and a token of thanks is the second: nobody keeps a secret forever.",
    "Change your password: choose a long one, write it nowhere, and never reuse it. The api key goes into the header.",
    "A bearer of bad news arrived. Authorization: see section 4. The secret: there is none.",
    "Das Passwort wurde geändert. Bitte melden Sie sich mit dem neuen Passwort an; es gilt ab 01.07.2026 um 10:30 Uhr.",
    "Le mot de passe a été modifié le 12/03/2026 à 14 h 05. Merci d'avoir patienté 15 minutes et 30 secondes.",
    "La contraseña se cambió ayer. El pedido 12345678 llegará el 2026-08-01, entre las 10:00 y las 12:00.",
    "Il codice dell'ordine è 20260715 e la consegna avverrà tra 3-5 giorni lavorativi, dalle 09:00 alle 18:00.",
    "パスワードは変更されました。注文番号は 20260715 です。",
    "Пароль изменён. Номер заказа 20260715, доставка 3-5 дней.",
    "密码已更改。订单号 20260715，预计 3-5 天送达。",
    "In 1984, 2001 and 2010 the counts were 12 345, 67 890 and 1 234 567; that is 3.5 times 10^6.",
    "Pages 123-145, 200-212 and 1034-1078 of volume 12 (2019), doi:10.1000/182 and ISSN 2049-3630, say so.",
    "Section 4.1.2.3 of RFC 5321 and paragraph 12.3.4 of ISO 13616-1:2020 disagree with RFC 2822 in 3 places.",
    "Call sqrt(2) ≈ 1.4142135623730951 and e ≈ 2.718281828459045; then 1/7 = 0.142857142857142857.",
    "Flight LH 400 leaves at 10:25, gate B 42, seat 23A; the booking is X7Y8Z9 and costs 1,234.56 EUR.",
)
_CODE = (
    "def check_password(password: str, token: str) -> bool:\n    return hmac.compare_digest(password, token)\n",
    "password = os.environ['DB_PASSWORD']\napi_key = settings.api_key\ntoken = get_token()\n",
    "const token = await getToken(user.id);\nheaders.Authorization = `Bearer ${token}`;\n",
    "for (int i = 0; i < 1000000; i++) { sum += data[i] * 0x1234ABCD; }\n",
    "class SecretKeyFactory:\n    secret_key_field = Field(alias='secretKey')\n    access_token: AccessToken\n",
    "SELECT id, password_hash FROM users WHERE created_at > '2026-01-01 00:00:00' LIMIT 100;\n",
    "git checkout 3f2a9c1 && npm install left-pad@1.3.0 && docker pull python:3.13-slim@sha256:" + "ab12" * 16 + "\n",
    "xs = [4111, 1111, 2222, 3333]\nys = {1: 5500, 2: 6011}\n",
    '{"password": null, "token": "", "secret": false, "api_key": "string"}',
    "ssh -i ~/.ssh/id_rsa user@host -p 2222\nscp file root@server:/tmp\n",
)

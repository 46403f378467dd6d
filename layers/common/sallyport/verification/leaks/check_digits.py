"""Whether a number that looks like a card's, an account's or a person's is one: its check digits and what issuers say.

Each function takes a text and says how many of its characters are such a number, 0 if none.
"""

import re

_SEPARATORS = re.compile(r"[\s.\-/]")
_CARD_LENGTHS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"30[0-5]|3[689]"), (14, 16, 19)),
    (re.compile(r"35(2[89]|[3-8])"), (16, 17, 18, 19)),
    (re.compile(r"6011|64[4-9]|65|62|81[0-7]|60|508|220[0-4]"), (16, 17, 18, 19)),
    (re.compile(r"50|5[6-9]|6[0379]"), (13, 14, 15, 16, 17, 18, 19)),
)
"""Ranges and lengths as the networks publish them; the last is Maestro's."""
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
"""ISO 13616: the SWIFT registry's lengths."""
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_FISCALE_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def bare(text: str) -> str:
    """Give the text without the separators people write."""
    return _SEPARATORS.sub("", text)


def passes_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (doubled + sum(map(int, digits[-1::-2]))) % 10 == 0


def card(text: str) -> int:
    """Say whether it is a card's number: a network's range and length, and Luhn."""
    digits = bare(text)
    fits = any(start.match(digits) and len(digits) in lengths for start, lengths in _CARD_LENGTHS)
    return len(text) if fits and passes_luhn(digits) else 0


def iban(text: str) -> int:
    """Say how many characters are an account's number: its country's length, and ISO 7064 MOD 97-10."""
    wanted = _IBAN_LENGTHS.get(text[:2], 0)
    end = _end_of(text, wanted)
    if not end or text[end : end + 1].isalnum():
        return 0
    account = bare(text[:end])
    number = "".join(str(int(char, 36)) for char in account[4:] + account[:4])
    return end if int(number) % 97 == 1 else 0


def _end_of(text: str, characters: int) -> int:
    for end, char in enumerate(text, 1):
        characters -= not char.isspace()
        if not characters:
            return end
    return 0


def us_ssn(text: str) -> int:
    """Social Security Administration: no area 000, 666, 900 to 999, no group 00, no serial 0000."""
    digits = bare(text)
    is_given = digits[:3] not in {"000", "666"} and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"
    return len(text) if is_given and text[3] == text[6] else 0


def uk_nino(text: str) -> int:
    """HMRC, NIM39110; the pattern has the letters that may stand at each place."""
    return 0 if text[:2] in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"} else len(text)


def de_steuer_id(text: str) -> int:
    """Bundeszentralamt für Steuern: one digit of the first ten twice or thrice; ISO 7064 MOD 11,10."""
    digits = bare(text)
    counts = sorted(digits[:10].count(digit) for digit in set(digits[:10]))
    if counts[-1] not in {2, 3} or counts[-2] != 1:
        return 0
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return len(text) if (11 - product) % 10 == int(digits[10]) else 0


def fr_nir(text: str) -> int:
    """INSEE: the key is 97 less the number mod 97; Corsica's 2A and 2B count as 19 and 18."""
    digits = bare(text)
    number = int(digits[:13].replace("2A", "19").replace("2B", "18"))
    return len(text) if 97 - number % 97 == int(digits[13:]) else 0


def es_dni(text: str) -> int:
    """Ministerio del Interior: the letter is the number mod 23; a foreigner's X, Y, Z count as 0, 1, 2."""
    characters = bare(text)
    number = int(characters[:-1].translate(str.maketrans("XYZ", "012")))
    return len(text) if _DNI_LETTERS[number % 23] == characters[-1] else 0


def it_codice_fiscale(text: str) -> int:
    """Decreto 12 marzo 1974 n. 2227: the check letter."""
    values = [int(char, 36) - 10 if char.isalpha() else int(char) for char in text]
    total = sum(value if place % 2 else _FISCALE_ODD[value] for place, value in enumerate(values[:15]))
    return len(text) if total % 26 == values[15] else 0


def nl_bsn(text: str) -> int:
    """Wet algemene bepalingen burgerservicenummer: the eleven test."""
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    total = sum(weight * int(digit) for weight, digit in zip(weights, bare(text), strict=True))
    return len(text) if total % 11 == 0 else 0


def be_national_number(text: str) -> int:
    """Koninklijk besluit 3 april 1984: 97 less the number mod 97, with a 2 before it from 2000 on."""
    digits = bare(text)
    keys = {97 - int(century + digits[:9]) % 97 for century in ("", "2")}
    return len(text) if int(digits[9:]) in keys else 0


def pl_pesel(text: str) -> int:
    """Ustawa o ewidencji ludności, art. 15: weights 1 3 7 9."""
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)
    return len(text) if sum(w * int(digit) for w, digit in zip(weights, text, strict=True)) % 10 == 0 else 0


def se_personnummer(text: str) -> int:
    """Skatteverket, SKV 704: Luhn over the last ten digits."""
    return len(text) if passes_luhn(bare(text).replace("+", "")[-10:]) else 0

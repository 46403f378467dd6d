"""Base64url without padding, as JOSE has it (RFC 7515, section 2), and in its one canonical form."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode


def decode(text: str) -> bytes:
    """Give the bytes. Raises `ValueError` unless encoding them gives this very text again.

    Python's decoder skips foreign characters and drops stray bits, so several texts would be one token.
    """
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if urlsafe_b64encode(raw).rstrip(b"=") != text.encode():
        raise ValueError("not canonical base64url")
    return raw

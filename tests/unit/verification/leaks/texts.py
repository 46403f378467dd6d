"""Values that detectors find, and pieces of them: what a model may write around and between them."""

from hypothesis import strategies as st

from sallyport.policy.verification_rules import ANSWERS, REDACT, LeakRules, Pattern
from sallyport.verification.leaks.detectors import DETECTORS
from sallyport.verification.leaks.scanner import Scanner

SECRETS = (
    "AKIA" + "Q2B3C4D5E6F7G2H3",
    "ghp_" + "aB3" * 12,
    "sk-proj-" + "aB3-_x" * 26,
    "sk_live_" + "a1B2" * 6,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0." + "dBjftJeZ4CVP-mB92K27u" * 2,
    "postgres://svc:Tr0ub4dor@db.example.com/app",
    'password="Tr0ub4dor&3x99"',
    "Authorization: Bearer " + "mF_9.B5f-4.1JqM" * 2,
    "-----BEGIN EC PRIVATE KEY-----\n" + "MHcCAQEE" * 8 + "\n-----END EC PRIVATE KEY-----",
    "4111 1111 1111 1111",
    "5555555555554444",
    "GB82 WEST 1234 5698 7654 32",
    "DE89370400440532013000",
    "jürgen.o'neill+x@bücher.example.co.uk",
    '"ann lee"@example.org',
    "+44 20 7946 0958",
    "(212) 555-0187",
    "078-05-1120",
    "BSN: 111222333",
    "Zebra  Lantern\n42",
    "ACME-123456",
)
"""Published examples and made-up ones."""

FRAGMENTS = (
    *SECRETS, *(secret[:-3] for secret in SECRETS), *(secret[3:] for secret in SECRETS),
    " ", "\n", "\\n", "-", ".", "@", "a", "Z9", "4", "é", "中文", "🦓", "\\u00e9", "sk-", "eyJ", "password=", "bearer ",
    "-----BEGIN ", "The quick brown fox. ", "zebra ", "://", '"',
)  # fmt: skip
"""Of which the texts are made."""

texts = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=12).map("".join)


def scanner(action: str = REDACT, detectors: tuple[str, ...] = tuple(DETECTORS)) -> Scanner:
    """Make one with a planted word and an operator's pattern."""
    own = (Pattern("ticket", "ACME-[0-9]{6}", 11),)
    return Scanner([LeakRules("all", detectors, own, ("zebra lantern 42",), action, (ANSWERS,))])


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """Draw a way to cut a text, whole characters each."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=30)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

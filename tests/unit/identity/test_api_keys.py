"""API keys: minted, taken apart, checked against the store."""

import hashlib
import hmac
import re
import string
import zlib
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sallyport.access.networks import NetworkSet
from sallyport.identity.api_keys import KEY_PATTERN, MAX_HELD, ApiKeyVerifier, KeyItem, KeyParts, NewKey, mint, parse
from sallyport.identity.credentials import CredentialRefusedError
from sallyport.identity.principal import Identity
from sallyport.policy.limit_texts import parse_limits, per_minute

NOW_S = 1_800_000_000.0
FRESH_S = 15.0


class StoreDownError(Exception):
    pass


class RecordingStore:
    """Counts reads and compares, in the order in which they come."""

    def __init__(self, items: Mapping[str, KeyItem]) -> None:
        self.items = dict(items)
        self.steps: list[str] = []
        self.down = False

    def read_key(self, key_id: str) -> KeyItem | None:
        self.steps.append(f"read {key_id}")
        if self.down:
            raise StoreDownError
        return self.items.get(key_id)

    def compare(self, stored: bytes, presented: bytes) -> bool:
        assert len(stored) == len(presented) == 64  # else its time tells which one is shorter
        self.steps.append("compare")
        return hmac.compare_digest(stored, presented)


def item_of(key: NewKey, **changes: str | int | None) -> dict[str, str | int | None]:
    item: dict[str, str | int | None] = {
        "secret_sha256": key.secret_sha256,
        "tenant": "acme",
        "subject": "demo",
        "scopes": "chat models",
    }
    return item | changes


def verifier_over(store: RecordingStore, fresh_s: float = FRESH_S) -> ApiKeyVerifier:
    return ApiKeyVerifier(store, fresh_s, check_networks=NetworkSet, compare=store.compare)


def verifier_of(key: NewKey, **changes: str | int | None) -> tuple[ApiKeyVerifier, RecordingStore]:
    store = RecordingStore({key.key_id: item_of(key, **changes)})
    return verifier_over(store), store


def refusal_of(verifier: ApiKeyVerifier, text: str, now_s: float = NOW_S) -> str:
    with pytest.raises(CredentialRefusedError) as caught:
        verifier.verify(text, now_s)
    return caught.value.reason


def forged(key: NewKey) -> str:
    """Another secret under the same key id."""
    body = f"sp_{key.key_id}_{'0' * 43}"
    return body + check_digits(body)


def check_digits(body: str) -> str:
    crc, alphabet = zlib.crc32(body.encode()), string.digits + string.ascii_uppercase + string.ascii_lowercase
    return "".join(alphabet[crc // 62**place % 62] for place in range(5, -1, -1))


# Form


def test_a_minted_key_has_the_published_form_and_stores_only_a_hash() -> None:
    key = mint()
    secret = key.text.removeprefix(f"sp_{key.key_id}_")[:43]
    assert re.fullmatch(KEY_PATTERN, key.text)
    assert parse(key.text) == KeyParts(key.key_id, hashlib.sha256(secret.encode()).hexdigest())
    assert key.secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()


def test_minted_keys_differ() -> None:
    assert len({mint().text for _ in range(100)}) == 100


def test_check_digits_are_the_crc_32_in_base62() -> None:
    body = "sp_" + "0" * 16 + "_" + "0" * 43
    assert parse(body + check_digits(body)) is not None


@given(st.integers(0, 68), st.sampled_from("0aZ_-é "))
def test_a_typo_is_refused_without_a_read(place: int, letter: str) -> None:
    key = mint()
    typo = key.text[:place] + letter + key.text[place + 1 :]
    verifier, store = verifier_of(key)
    if typo != key.text:
        assert refusal_of(verifier, typo) == "key_malformed"
        assert verifier.verify_known(typo, NOW_S) is None
        assert store.steps == []


KNOWN = mint()
KEY_LETTERS = st.text(string.ascii_letters + string.digits, min_size=43, max_size=43)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The known key's text after cuts, swaps, changed case, strange letters or repetition."""
    text, kind = KNOWN.text, draw(st.integers(0, 5))
    start, end = sorted((draw(st.integers(0, 69)), draw(st.integers(0, 69))))
    return (
        text[:start] + text[end:],
        text[:start] + draw(st.text(max_size=8)) + text[end:],
        text[:start] + text[start:end].swapcase() + text[end:],
        text[:start] + text[start:end][::-1] + text[end:],
        text + draw(st.text(min_size=1, max_size=8)),
        draw(st.text(min_size=1, max_size=8)) + text,
    )[kind]


@st.composite
def with_right_digits(draw: st.DrawFn) -> str:
    """Well-formed keys of the known id or another, with another secret."""
    key_id = draw(st.sampled_from([KNOWN.key_id, "0" * 16]))
    body = f"sp_{key_id}_{draw(KEY_LETTERS)}"
    return body + check_digits(body)


@settings(max_examples=3000, deadline=None)
@given(st.one_of(st.text(max_size=200), mutated(), with_right_digits(), st.from_regex(KEY_PATTERN, fullmatch=True)))
def test_nothing_but_the_key_itself_is_ever_let_in(text: str) -> None:
    verifier, _ = verifier_of(KNOWN)
    if text != KNOWN.text:
        reason = refusal_of(verifier, text)
        assert reason in {"key_malformed", "key_unknown", "key_secret_wrong"}
        assert verifier.verify_known(text, NOW_S) is None
        assert refusal_of(verifier, text) == reason


# What a key gives


def test_a_good_key_gives_its_identity() -> None:
    key = mint()
    verifier, _ = verifier_of(
        key,
        models="gpt-a,gpt-b",
        residency="eu-west-1",
        requests_per_minute=7,
        limits="tokens=50000/1m, usd=20/month",
        allow="198.51.100.0/24, 2001:db8::/32",
        family="0000000000000000",
    )
    assert verifier.verify(key.text, NOW_S) == Identity(
        method="api_key",
        tenant="acme",
        subject="demo",
        scopes=("chat", "models"),
        key_id=key.key_id,
        key_family="0000000000000000",
        models=("gpt-a", "gpt-b"),
        residency=("eu-west-1",),
        limits=(per_minute(7), *parse_limits("tokens=50000/1m,usd=20/month")),
        allow=("198.51.100.0/24", "2001:db8::/32"),
    )


def test_what_a_record_leaves_out_is_left_to_others() -> None:
    key = mint()
    identity = verifier_of(key)[0].verify(key.text, NOW_S)
    assert (identity.models, identity.residency, identity.limits) == (None, None, ())
    assert (identity.allow, identity.key_family) == ((), "")


def test_scopes_that_no_route_asks_for_are_dropped() -> None:
    key = mint()
    assert verifier_of(key, scopes="admin chat")[0].verify(key.text, NOW_S).scopes == ("chat",)


def test_a_key_works_until_the_second_it_expires() -> None:
    key = mint()
    verifier, _ = verifier_of(key, not_after=int(NOW_S) + 1)
    assert verifier.verify(key.text, NOW_S + 0.999).tenant == "acme"
    assert refusal_of(verifier, key.text, NOW_S + 1) == "key_expired"  # from memory: time is looked at each time


# One path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"revoked_at": 1}, "key_revoked"),
        ({"revoked_at": int(NOW_S) + 3600}, "key_revoked"),
        ({"not_after": int(NOW_S)}, "key_expired"),
        ({"not_after": int(NOW_S), "revoked_at": 1}, "key_revoked"),
        ({"secret_sha256": "0" * 64}, "key_secret_wrong"),
    ],
)
def test_every_key_costs_one_read_and_one_compare(changes: dict[str, str | int], reason: str) -> None:
    key, unknown = mint(), mint()
    verifier, store = verifier_of(key, **changes)
    assert refusal_of(verifier, key.text) == reason
    assert refusal_of(verifier, unknown.text) == "key_unknown"
    assert store.steps == [f"read {key.key_id}", "compare", f"read {unknown.key_id}", "compare"]


@pytest.mark.parametrize("changes", [{}, {"revoked_at": 1}, {"not_after": 1}])
def test_in_memory_every_key_costs_one_compare(changes: dict[str, str | int]) -> None:
    key, unknown = mint(), mint()
    verifier, store = verifier_of(key, **changes)
    refusal_of(verifier, forged(key))
    refusal_of(verifier, unknown.text)
    store.steps.clear()
    for text in (forged(key), unknown.text):
        refusal_of(verifier, text)
        assert verifier.verify_known(text, NOW_S) is None
    assert store.steps == ["compare"] * 4


@pytest.mark.parametrize("changes", [{"revoked_at": 1}, {"not_after": 1}, {"tenant": None}])
def test_without_the_secret_nothing_else_is_told(changes: dict[str, str | int | None]) -> None:
    key = mint()
    assert refusal_of(verifier_of(key, **changes)[0], forged(key)) == "key_secret_wrong"


def test_a_refusal_names_the_key_for_the_log_and_never_the_secret() -> None:
    key = mint()
    with pytest.raises(CredentialRefusedError) as caught:
        verifier_of(key)[0].verify(forged(key), NOW_S)
    assert caught.value.key_id == key.key_id
    assert "0" * 43 not in repr(caught.value)


# Broken records


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": None},
        {"tenant": 5},
        {"tenant": "a tenant"},
        {"subject": None},
        {"subject": ""},
        {"subject": "line\nbreak"},
        {"scopes": None},
        {"scopes": "chat,models\x00"},
        {"models": ""},
        {"models": None},
        {"models": "gpt-a,,gpt-b"},
        {"models": "gpt-ä"},
        {"models": ",".join(["m" * 199] * 11)},
        {"residency": "everywhere"},
        {"residency": None},
        {"residency": ""},
        {"allow": ""},
        {"allow": None},
        {"allow": "10.0.0.1/8"},
        {"allow": "198.51.100.0/24,,"},
        {"family": 3},
        {"requests_per_minute": "many"},
        {"requests_per_minute": 0},
        {"limits": ""},
        {"limits": 5},
        {"limits": None},
        {"limits": "tokens=many/1m"},
        {"limits": "requests=5/1m", "requests_per_minute": 5},
        {"not_after": "2027-01-31"},
        {"not_after": None},
        {"revoked_at": "yes"},
        {"revoked_at": None},
        {"secret_sha256": ""},
        {"secret_sha256": None},
        {"secret_sha256": "0" * 63},
        {"secret_sha256": 12},
    ],
)
def test_a_broken_record_lets_nobody_in(changes: dict[str, str | int | None]) -> None:
    key = mint()
    verifier, store = verifier_of(key, **changes)
    for _ in range(2):
        assert refusal_of(verifier, key.text) == "key_record_broken"
        assert verifier.verify_known(key.text, NOW_S) is None
    assert store.steps == [f"read {key.key_id}", *["compare"] * 4]


@pytest.mark.parametrize("missing", ["secret_sha256", "tenant", "subject", "scopes"])
def test_a_record_that_lacks_something_lets_nobody_in(missing: str) -> None:
    key = mint()
    item = {name: value for name, value in item_of(key).items() if name != missing}
    assert refusal_of(verifier_over(RecordingStore({key.key_id: item})), key.text) == "key_record_broken"


VALUES = st.one_of(
    st.text(max_size=20), st.integers(), st.none(), st.sampled_from(["chat", "acme", "10.0.0.0/8", "a,b", "usd=1/day"])
)
ATTRIBUTES = ("tenant", "subject", "scopes", "models", "residency", "allow", "family", "not_after", "revoked_at")


@settings(max_examples=1000, deadline=None)
@given(st.dictionaries(st.sampled_from([*ATTRIBUTES, "secret_sha256", "requests_per_minute", "limits"]), VALUES))
def test_no_record_makes_the_verifier_fail(item: dict[str, str | int | None]) -> None:
    store = RecordingStore({KNOWN.key_id: {"secret_sha256": KNOWN.secret_sha256} | item})
    try:
        identity = verifier_over(store).verify(KNOWN.text, NOW_S)
    except CredentialRefusedError:
        return
    assert identity.tenant == item["tenant"]


# Memory


def test_a_record_is_used_for_less_than_the_stated_time() -> None:
    key = mint()
    verifier, store = verifier_of(key)
    verifier.verify(key.text, NOW_S)
    store.items[key.key_id] = item_of(key, revoked_at=int(NOW_S) + 1)
    assert verifier.verify(key.text, NOW_S + FRESH_S - 0.001).tenant == "acme"
    with pytest.raises(CredentialRefusedError, match="key_revoked"):
        verifier.verify_known(key.text, NOW_S + FRESH_S)
    assert refusal_of(verifier, key.text, NOW_S + FRESH_S) == "key_revoked"


def test_a_known_key_s_record_is_read_again_when_due_for_whoever_has_its_secret() -> None:
    key = mint()
    verifier, store = verifier_of(key)
    verifier.verify(key.text, NOW_S)
    store.steps.clear()
    assert verifier.verify_known(forged(key), NOW_S + FRESH_S) is None
    assert store.steps == ["compare"]
    known = verifier.verify_known(key.text, NOW_S + FRESH_S)
    assert known is not None
    assert store.steps.count(f"read {key.key_id}") == 1


def test_use_does_not_lengthen_a_records_life() -> None:
    key = mint()
    verifier, store = verifier_of(key)
    for second in range(16):
        verifier.verify(key.text, NOW_S + second)
    assert store.steps.count(f"read {key.key_id}") == 2


def test_at_zero_seconds_the_store_is_read_every_time() -> None:
    key = mint()
    store = RecordingStore({key.key_id: item_of(key)})
    verifier = verifier_over(store, fresh_s=0)
    for _ in range(3):
        verifier.verify(key.text, NOW_S)
    assert store.steps == [f"read {key.key_id}", "compare"] * 3
    assert verifier.verify_known(key.text, NOW_S) is not None
    assert store.steps.count(f"read {key.key_id}") == 4


def test_an_unknown_id_is_read_once_in_the_stated_time_and_then_again() -> None:
    verifier, store = verifier_of(mint())
    key = mint()
    for second in (0.0, 1.0, 14.9):
        assert refusal_of(verifier, key.text, NOW_S + second) == "key_unknown"
    assert store.steps.count(f"read {key.key_id}") == 1
    store.items[key.key_id] = item_of(key)
    assert verifier.verify(key.text, NOW_S + FRESH_S).key_id == key.key_id
    assert verifier.verify_known(key.text, NOW_S + FRESH_S) is not None


def test_a_record_that_is_gone_is_unknown() -> None:
    key = mint()
    verifier, store = verifier_of(key)
    verifier.verify(key.text, NOW_S)
    store.items.clear()
    assert refusal_of(verifier, key.text, NOW_S + FRESH_S) == "key_unknown"
    assert verifier.verify_known(key.text, NOW_S + FRESH_S) is None


@pytest.mark.parametrize("back_s", [0.001, 3600])
def test_a_clock_that_went_backwards_makes_all_stale(back_s: float) -> None:
    key = mint()
    verifier, store = verifier_of(key)
    verifier.verify(key.text, NOW_S)
    assert verifier.verify_known(key.text, NOW_S - back_s) is None
    store.items[key.key_id] = item_of(key, revoked_at=1)
    assert refusal_of(verifier, key.text, NOW_S - back_s) == "key_revoked"


def test_a_clock_that_went_forth_and_back_revives_nothing() -> None:
    key = mint()
    verifier, store = verifier_of(key)
    verifier.verify(key.text, NOW_S)
    verifier.verify_known(key.text, NOW_S + 60)
    store.items[key.key_id] = item_of(key, revoked_at=1)
    assert refusal_of(verifier, key.text, NOW_S + 5) == "key_revoked"


def test_a_store_that_fails_lets_nobody_in_on_an_old_record() -> None:
    key = mint()
    verifier, store = verifier_of(key)
    verifier.verify(key.text, NOW_S)
    store.down = True
    assert verifier.verify(key.text, NOW_S + 14).tenant == "acme"
    for second in (15, 16, 3600):
        with pytest.raises(StoreDownError):
            verifier.verify(key.text, NOW_S + second)
        with pytest.raises(StoreDownError):
            verifier.verify_known(key.text, NOW_S + second)
    store.down = False
    assert verifier.verify(key.text, NOW_S + 3601).tenant == "acme"


def test_a_failed_read_is_not_taken_for_an_unknown_key() -> None:
    key = mint()
    verifier, store = verifier_of(key)
    store.down = True
    with pytest.raises(StoreDownError):
        verifier.verify(key.text, NOW_S)
    store.down = False
    assert verifier.verify(key.text, NOW_S).tenant == "acme"


def test_records_in_memory_are_bounded_and_the_least_used_goes_first() -> None:
    keys = [mint() for _ in range(MAX_HELD + 1)]
    store = RecordingStore({key.key_id: item_of(key) for key in keys})
    verifier = verifier_over(store)
    for key in keys[:-1]:
        verifier.verify(key.text, NOW_S)
    verifier.verify(keys[0].text, NOW_S)
    verifier.verify(keys[-1].text, NOW_S)
    assert verifier.verify_known(keys[0].text, NOW_S) is not None
    assert verifier.verify_known(keys[1].text, NOW_S) is None
    assert sum(verifier.verify_known(key.text, NOW_S) is not None for key in keys) == MAX_HELD


def test_a_flood_of_unknown_ids_evicts_no_record_and_stays_bounded() -> None:
    key = mint()
    verifier, store = verifier_of(key)
    verifier.verify(key.text, NOW_S)
    flood = [mint() for _ in range(MAX_HELD + 500)]
    for unknown in flood:
        refusal_of(verifier, unknown.text)
    assert verifier.verify_known(key.text, NOW_S) is not None
    store.steps.clear()
    for unknown in reversed(flood):
        refusal_of(verifier, unknown.text)
    assert sum(step.startswith("read") for step in store.steps) == 500


def test_memory_alone_admits_a_good_key_and_nothing_else() -> None:
    key = mint()
    verifier, store = verifier_of(key)
    assert verifier.verify_known(key.text, NOW_S) is None
    verifier.verify(key.text, NOW_S)
    store.steps.clear()
    assert verifier.verify_known(key.text, NOW_S) == verifier.verify(key.text, NOW_S)
    assert verifier.verify_known(forged(key), NOW_S) is None
    assert verifier.verify_known("sp_nothing", NOW_S) is None
    assert store.steps == ["compare"] * 3


@pytest.mark.parametrize("changes", [{"revoked_at": 1}, {"not_after": int(NOW_S)}])
def test_memory_alone_refuses_a_key_that_has_ended(changes: dict[str, str | int]) -> None:
    key = mint()
    verifier, _ = verifier_of(key, **changes)
    refusal_of(verifier, key.text)
    assert verifier.verify_known(key.text, NOW_S) is None

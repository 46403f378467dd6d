"""How many checked tokens are kept, and for how long."""

import pytest

from sallyport.identity.principal import Identity
from sallyport.identity.registered_claims import Lifetime
from sallyport.identity.token_cache import MAX_AGE_S, CheckedToken, TokenCache, digest_of
from sallyport.identity.verification_keys import KeySourceError, VerificationKey

NOW_S = 1_700_000_000.0


class Key:
    def verifies(self, signed: bytes, signature: bytes) -> bool:
        raise AssertionError("a kept token's signature needs no check")


class Keys:
    def __init__(self) -> None:
        self.key: VerificationKey | None = Key()
        self.down = False
        self.asked: list[tuple[str | None, str]] = []

    def key_for(self, kid: str | None, algorithm: str) -> VerificationKey | None:
        self.asked.append((kid, algorithm))
        if self.down:
            raise KeySourceError("down")
        return self.key


def checked(keys: Keys, subject: str = "alice", ends_s: float = NOW_S + 3600) -> CheckedToken:
    identity = Identity(method="jwt", tenant="acme", subject=subject, scopes=())
    assert keys.key is not None
    lifetime = Lifetime(float("-inf"), ends_s)
    return CheckedToken(identity, lifetime, keys, keys.key, kid="k", algorithm="RS256", checked_s=NOW_S)


def kept(keys: Keys) -> TokenCache:
    cache = TokenCache()
    cache.keep(b"token", checked(keys))
    return cache


def test_a_kept_token_is_found_for_five_minutes_and_its_key_asked_for_each_time() -> None:
    keys = Keys()
    cache = kept(keys)
    for seconds in (0, 1, MAX_AGE_S - 0.001):
        found = cache.find(b"token", NOW_S + seconds)
        assert found is not None
        assert found.subject == "alice"
    assert keys.asked == [("k", "RS256")] * 3
    assert cache.find(b"token", NOW_S + MAX_AGE_S) is None
    assert cache.knows(b"token")


def test_a_token_that_was_refused_is_forgotten() -> None:
    cache = kept(Keys())
    cache.forget(b"token")
    cache.forget(b"another")
    assert not cache.knows(b"token")
    assert cache.find(b"token", NOW_S) is None


def test_finding_a_token_does_not_prolong_it() -> None:
    cache = kept(Keys())
    assert cache.find(b"token", NOW_S + MAX_AGE_S - 1) is not None
    assert cache.find(b"token", NOW_S + MAX_AGE_S + 1) is None


def test_where_the_clock_has_gone_back_a_token_is_not_found() -> None:
    assert kept(Keys()).find(b"token", NOW_S - 0.001) is None


def test_a_token_goes_with_its_key() -> None:
    for key in (None, Key()):
        keys = Keys()
        cache = kept(keys)
        keys.key = key
        assert cache.find(b"token", NOW_S) is None


def test_a_token_whose_keys_cannot_be_asked_for_is_an_error() -> None:
    keys = Keys()
    cache = kept(keys)
    keys.down = True
    with pytest.raises(KeySourceError):
        cache.find(b"token", NOW_S)


def test_the_cache_is_bounded_and_forgets_those_used_least_recently() -> None:
    cache, keys = TokenCache(max_tokens=3), Keys()
    for name in (b"a", b"b", b"c"):
        cache.keep(name, checked(keys))
    cache.find(b"a", NOW_S)
    cache.keep(b"d", checked(keys))
    assert len(cache) == 3
    assert [cache.find(name, NOW_S) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]


def test_a_token_s_name_is_of_all_of_it() -> None:
    names = {digest_of(token) for token in ("a.b.c", "a.b.d", "a.b.c.", "a.b.", "A.b.c", "a.b.c\ud800")}
    assert len(names) == 6
    assert {len(name) for name in names} == {32}

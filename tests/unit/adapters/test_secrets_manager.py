"""Secrets: kept for a while, seen at once when rotated, used for a bounded time while Secrets Manager is down."""

from collections.abc import Mapping
from typing import Any

import pytest

from sallyport.adapters.aws_client import SECRETS_MANAGER, AwsClient, AwsError
from sallyport.adapters.secrets_manager import CachedSecret, OriginSecretValues
from sallyport.errors import SecretUnavailableError
from tests.support.aws import LOCAL_AWS, Emulator

FIRST, SECOND, THIRD = (f"{word}-origin-secret-value" for word in ("first", "second", "third"))
NAME = "stack/identity/cloudfront"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


class Vault:
    """Secrets Manager with one secret."""

    def __init__(self, *values: str) -> None:
        self.values = list(values)
        self.fault = ""
        self.calls: list[str] = []

    def call(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        assert (operation, payload["SecretId"]) == ("GetSecretValue", NAME)
        stage = payload.get("VersionStage", "AWSCURRENT")
        self.calls.append(stage)
        if self.fault:
            raise AwsError(self.fault)
        newest_first = dict(zip(("AWSCURRENT", "AWSPREVIOUS"), reversed(self.values), strict=False))
        if stage not in newest_first:
            raise AwsError("ResourceNotFoundException")
        return {"SecretString": newest_first[stage]}


@pytest.fixture
def clock() -> Clock:
    return Clock()


def origin_secret(vault: Vault, clock: Clock) -> OriginSecretValues:
    return OriginSecretValues(vault, NAME, clock)


def test_current_and_previous_match_and_nothing_else(clock: Clock) -> None:
    secret = origin_secret(Vault(FIRST, SECOND, THIRD), clock)
    presented = [THIRD, SECOND, FIRST, "", THIRD[:-1], THIRD + "x", "\ud800", "é"]
    assert [secret.matches(text) for text in presented] == [True, True, False, False, False, False, False, False]


def test_a_secret_that_was_never_changed_has_no_previous_one(clock: Clock) -> None:
    secret = origin_secret(Vault(FIRST), clock)
    assert secret.matches(FIRST)
    assert not secret.matches("")


def test_it_is_read_once_in_five_minutes(clock: Clock) -> None:
    vault = Vault(FIRST)
    secret = origin_secret(vault, clock)
    for _ in range(300):
        assert secret.matches(FIRST)
        clock.now_s += 1
    assert vault.calls == ["AWSCURRENT", "AWSPREVIOUS"]
    assert secret.matches(FIRST)
    assert len(vault.calls) == 4


def test_a_rotation_counts_at_once_and_the_old_value_for_one_more(clock: Clock) -> None:
    vault = Vault(FIRST)
    secret = origin_secret(vault, clock)
    assert secret.matches(FIRST)
    clock.now_s += 30
    vault.values.append(SECOND)
    assert secret.matches(SECOND)
    assert secret.matches(FIRST)
    clock.now_s += 30
    vault.values.append(THIRD)
    assert secret.matches(THIRD)
    assert not secret.matches(FIRST)


def test_wrong_secrets_cause_one_reading_in_thirty_seconds(clock: Clock) -> None:
    vault = Vault(FIRST, SECOND)
    secret = origin_secret(vault, clock)
    assert secret.matches(SECOND)
    for _ in range(60):
        clock.now_s += 1
        assert not secret.matches("guessed-by-somebody-else")
    assert len(vault.calls) == 2 + 2 * 2


def test_while_it_cannot_be_read_the_last_values_hold_for_an_hour(clock: Clock) -> None:
    vault = Vault(FIRST, SECOND)
    secret = origin_secret(vault, clock)
    assert secret.matches(SECOND)
    vault.fault = "Timeout"
    clock.now_s += 3599
    assert secret.matches(FIRST)
    assert not secret.matches(THIRD)
    clock.now_s += 1
    with pytest.raises(SecretUnavailableError):
        secret.matches(SECOND)
    clock.now_s += 1
    vault.fault = ""
    assert secret.matches(SECOND)


def test_while_it_cannot_be_read_it_is_asked_for_now_and_then(clock: Clock) -> None:
    vault = Vault(FIRST)
    secret = origin_secret(vault, clock)
    assert secret.matches(FIRST)
    vault.fault, vault.calls = "Unreachable", []
    clock.now_s += 300
    for _ in range(60):
        assert secret.matches(FIRST)
        clock.now_s += 1
    assert len(vault.calls) == 2


@pytest.mark.parametrize("fault", ["AccessDeniedException", "ResourceNotFoundException", "InvalidRequestException"])
def test_one_that_was_never_read_is_unavailable_and_no_mismatch(clock: Clock, fault: str) -> None:
    vault = Vault(FIRST)
    vault.fault = fault
    secret = origin_secret(vault, clock)
    for _ in range(10):
        with pytest.raises(SecretUnavailableError):
            secret.matches(FIRST)
    assert len(vault.calls) == 1  # a caller can't make the door ask as fast as it is called
    vault.fault = ""
    clock.now_s += 1
    assert secret.matches(FIRST)


def test_a_previous_value_that_cannot_be_read_is_not_taken_for_none(clock: Clock) -> None:
    class HalfRead(Vault):
        def call(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
            if payload["VersionStage"] == "AWSPREVIOUS":
                raise AwsError("ThrottlingException")
            return super().call(operation, payload)

    with pytest.raises(SecretUnavailableError):
        origin_secret(HalfRead(FIRST, SECOND), clock).matches(SECOND)


def test_a_clock_that_went_back_makes_the_values_old(clock: Clock) -> None:
    vault = Vault(FIRST)
    secret = origin_secret(vault, clock)
    assert secret.matches(FIRST)
    clock.now_s -= 3600
    assert secret.matches(FIRST)
    assert len(vault.calls) == 4


@pytest.mark.parametrize(
    "unfit", ["", "fifteen-letters", "has a space but is long", "with-a-letter-like-ä", "tab\tin-the-middle"]
)
def test_an_unfit_secret_is_unavailable(clock: Clock, unfit: str) -> None:
    with pytest.raises(SecretUnavailableError):
        origin_secret(Vault(unfit), clock).matches(unfit)


def test_an_unfit_previous_value_matches_nothing(clock: Clock) -> None:
    secret = origin_secret(Vault("changeme", FIRST), clock)
    assert secret.matches(FIRST)
    assert not secret.matches("changeme")


def test_whitespace_around_a_stored_secret_is_no_part_of_it(clock: Clock) -> None:
    assert origin_secret(Vault(f"{FIRST}\n"), clock).matches(FIRST)


def test_versions_are_told_apart_as_secrets_manager_does(emulator: Emulator, clock: Clock) -> None:
    client = AwsClient(SECRETS_MANAGER, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url})
    emulator.secrets.create_secret(Name="rotated/identity/cloudfront", SecretString=FIRST)
    secret = OriginSecretValues(client, "rotated/identity/cloudfront", clock)
    assert (secret.matches(FIRST), secret.matches(SECOND)) == (True, False)
    clock.now_s += 30
    emulator.secrets.put_secret_value(SecretId="rotated/identity/cloudfront", SecretString=SECOND)
    assert (secret.matches(SECOND), secret.matches(FIRST)) == (True, True)
    with pytest.raises(SecretUnavailableError):
        OriginSecretValues(client, "never/made", clock).matches(FIRST)


def test_an_upstreams_credential_is_kept_and_read_anew_when_expired(clock: Clock) -> None:
    vault = Vault(" sk-first\n")
    secret = CachedSecret(vault, NAME, clock)
    assert (secret.read(), secret.read()) == ("sk-first", "sk-first")
    vault.values.append("sk-second")
    secret.expire()
    assert secret.read() == "sk-second"
    assert len(vault.calls) == 2


def test_an_upstreams_credential_outlives_a_failure_for_an_hour(clock: Clock) -> None:
    vault = Vault("sk-first")
    secret = CachedSecret(vault, NAME, clock)
    secret.read()
    vault.fault = "Timeout"
    clock.now_s += 3599
    assert secret.read() == "sk-first"
    clock.now_s += 31
    with pytest.raises(SecretUnavailableError):
        secret.read()


@pytest.mark.parametrize("unfit", ["", "sk with-space", "sk-ä", "sk\x00"])
def test_an_unfit_upstreams_credential_is_unavailable(clock: Clock, unfit: str) -> None:
    with pytest.raises(SecretUnavailableError):
        CachedSecret(Vault(unfit), NAME, clock).read()


def test_where_the_clock_has_gone_back_a_cached_secret_counts_as_too_old(clock: Clock) -> None:
    vault = Vault(FIRST)
    secret = CachedSecret(vault, NAME, clock)
    assert secret.read() == FIRST
    vault.values = [SECOND]
    clock.now_s -= 1
    assert secret.read() == SECOND
    vault.fault = "Unreachable"
    clock.now_s -= 1
    with pytest.raises(SecretUnavailableError):
        secret.read()

"""Daily totals: what is added where, and what becomes of failures."""

from collections.abc import Mapping
from typing import Any

import pytest

from sallyport.adapters.aws_client import AwsError
from sallyport.adapters.dynamodb_totals import DynamoDbTotalsStore
from sallyport.limits.cost import Usage
from sallyport.limits.totals import Total, TotalsError, UsageTotals, day_of, expiry_s, model_name

NOON_S = 1_773_144_000.5


class Client:
    """Takes calls, or fails."""

    def __init__(self, code: str = "") -> None:
        self.calls: list[tuple[str, Mapping[str, Any], bool]] = []
        self._code = code

    def call(self, operation: str, payload: Mapping[str, Any], *, repeatable: bool = True) -> dict[str, Any]:
        self.calls.append((operation, payload, repeatable))
        if self._code:
            raise AwsError(self._code)
        return {}


class Store:
    """Remembers what was added."""

    def __init__(self) -> None:
        self.added: list[tuple[Any, ...]] = []

    def add(self, tenant: str, day: str, model: str, total: Total, expires_at_s: int) -> None:
        self.added.append((tenant, day, model, total, expires_at_s))


def test_a_request_is_added_to_its_day_and_model() -> None:
    store = Store()
    UsageTotals(store, pytest.fail).add(
        tenant="acme", model="gpt-4o", usage=Usage(100, 20, 30), nanodollars=7, now_s=NOON_S
    )
    assert store.added == [("acme", "2026-03-10", "gpt-4o", Total(1, 100, 20, 30, 7), 1_773_100_800 + 400 * 86_400)]


@pytest.mark.parametrize("code", ["Timeout", "ThrottlingException", "ValidationException"])
def test_a_failure_is_told_and_raises_nothing(code: str) -> None:
    told: list[str] = []
    client = Client(code)
    totals = UsageTotals(DynamoDbTotalsStore(client, "Counters"), told.append)
    totals.add(tenant="acme", model="gpt-4o", usage=Usage(1, 1), nanodollars=0, now_s=NOON_S)
    assert told == [code]
    assert len(client.calls) == 1


def test_a_write_is_never_repeated_where_it_may_have_been_made() -> None:
    client = Client()
    DynamoDbTotalsStore(client, "Counters").add("acme", "2026-03-10", "gpt-4o", Total(1, 2, 3, 4, 5), 9)
    ((operation, payload, repeatable),) = client.calls
    assert (operation, repeatable) == ("UpdateItem", False)
    assert payload["Key"] == {"pk": {"S": "usage#acme"}, "sk": {"S": "2026-03-10#gpt-4o"}}
    with pytest.raises(TotalsError, match="Timeout"):
        DynamoDbTotalsStore(Client("Timeout"), "Counters").add("acme", "2026-03-10", "gpt-4o", Total(), 9)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "gpt-4o"),
        ("meta-llama/Llama-3.1:free@eu", "meta-llama/Llama-3.1:free@eu"),
        ("", "other"),
        ("a#b", "other"),
        ("~z", "other"),
        ("-x", "other"),
        ("ü", "other"),
        ("a\n", "other"),
        ("a" * 128, "a" * 128),
        ("a" * 129, "other"),
    ],
)
def test_a_name_that_can_t_be_a_model_s_is_other(model: str, name: str) -> None:
    assert model_name(model) == name


def test_days_are_utc_s() -> None:
    midnight = 1_773_100_800
    assert [day_of(midnight - 0.001), day_of(midnight)] == ["2026-03-09", "2026-03-10"]
    assert expiry_s(midnight - 1) + 86_400 == expiry_s(midnight) == expiry_s(midnight + 86_399)

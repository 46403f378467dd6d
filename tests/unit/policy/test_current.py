"""The policy in force: refreshed in time, never lost, and nobody judged without one."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sallyport.policy.current import CurrentPolicy, Pointer, PolicyStoreError, PolicyUnavailableError
from sallyport.policy.parameters import ConfigurationError

REFRESH_S = 10.0


class Store:
    """A store whose every answer the test sets."""

    def __init__(self) -> None:
        self.pointer: Pointer | None = None
        self.texts: dict[str, str] = {}
        self.error: Exception | None = None
        self.looks = 0
        self.loads = 0

    def put(self, version: int, text: str) -> None:
        self.pointer = Pointer(version, f"sha-of-{text}", 1)
        self.texts[self.pointer.sha256] = text

    def read_pointer(self) -> Pointer | None:
        self.looks += 1
        if self.error is not None:
            raise self.error
        return self.pointer

    def read_compiled(self, pointer: Pointer) -> str:
        self.loads += 1
        return self.texts[pointer.sha256]


class Bench:
    """A current policy under a clock that the test turns."""

    def __init__(self, build: Callable[[Mapping[str, Any] | None, int], Any] | None = None) -> None:
        self.store = Store()
        self.now_s = 1_000_000.0
        self.told: list[str] = []
        self.policy: CurrentPolicy[Any] = CurrentPolicy(
            self.store,
            build or (lambda compiled, version: (version, compiled)),
            REFRESH_S,
            now=lambda: self.now_s,
            tell=self.told.append,
        )


def document(name: str) -> str:
    return json.dumps({"name": name})


def test_without_a_document_the_parameters_alone_are_built() -> None:
    bench = Bench()
    assert bench.policy.get() == (0, None)
    assert bench.told == []


def test_a_document_is_loaded_once_and_looked_at_once_per_interval() -> None:
    bench = Bench()
    bench.store.put(3, document("a"))
    for _ in range(5):
        assert bench.policy.get() == (3, {"name": "a"})
        bench.now_s += REFRESH_S / 5
    assert (bench.store.looks, bench.store.loads) == (1, 1)
    assert bench.policy.get() == (3, {"name": "a"})
    assert (bench.store.looks, bench.store.loads) == (2, 1)


def test_a_new_version_is_in_force_for_the_first_request_after_the_interval() -> None:
    bench = Bench()
    bench.store.put(1, document("a"))
    bench.policy.get()
    bench.store.put(2, document("b"))
    bench.now_s += REFRESH_S - 0.001
    assert bench.policy.get()[0] == 1
    bench.now_s += 0.001
    assert bench.policy.get() == (2, {"name": "b"})


def test_a_process_frozen_for_long_looks_before_it_judges() -> None:
    bench = Bench()
    bench.store.put(1, document("a"))
    bench.policy.get()
    bench.store.put(2, document("b"))
    bench.now_s += 3600
    assert bench.policy.get()[0] == 2


def test_a_clock_that_goes_backwards_counts_as_old() -> None:
    bench = Bench()
    bench.store.put(1, document("a"))
    bench.policy.get()
    bench.store.put(2, document("b"))
    bench.now_s -= 100
    assert bench.policy.get()[0] == 2


def test_the_look_after_a_response_spares_the_next_request_its_own() -> None:
    bench = Bench()
    bench.policy.get()
    bench.now_s += REFRESH_S / 2 - 0.001
    bench.policy.refresh_early()
    assert bench.store.looks == 1
    bench.now_s += 0.001
    bench.policy.refresh_early()
    assert bench.store.looks == 2
    bench.now_s += REFRESH_S / 2
    bench.policy.get()
    assert bench.store.looks == 2


@pytest.mark.parametrize("error", [PolicyStoreError("Timeout"), ConfigurationError("x"), ValueError("secret text")])
def test_the_last_good_policy_stays_while_the_store_can_not_be_read(error: Exception) -> None:
    bench = Bench()
    bench.store.put(1, document("a"))
    bench.policy.get()
    bench.store.error = error
    for _ in range(3):
        bench.now_s += REFRESH_S
        assert bench.policy.get() == (1, {"name": "a"})
    assert len(bench.told) == 3
    assert "secret" not in "".join(bench.told)


def test_a_broken_document_leaves_the_last_good_one_and_is_told_each_time() -> None:
    bench = Bench()
    bench.store.put(1, document("a"))
    bench.policy.get()
    bench.store.put(2, "{not json, and secret")
    bench.now_s += REFRESH_S
    assert bench.policy.get()[0] == 1
    assert bench.told == ["the stored policy is broken: JSONDecodeError"]
    bench.store.put(3, document("c"))
    bench.now_s += REFRESH_S
    assert bench.policy.get()[0] == 3


@pytest.mark.parametrize("text", ["null", "[]", '"x"', "1", ""])
def test_what_is_no_object_is_no_document(text: str) -> None:
    bench = Bench()
    bench.store.put(1, document("a"))
    bench.policy.get()
    bench.store.put(2, text)
    bench.now_s += REFRESH_S
    assert bench.policy.get() == (1, {"name": "a"})
    assert len(bench.told) == 1


@pytest.mark.parametrize("error", [TypeError, AttributeError, KeyError, RecursionError])
def test_whatever_a_document_makes_the_builder_raise_the_last_good_one_stays(error: type[Exception]) -> None:
    def build(compiled: Mapping[str, Any] | None, version: int) -> int:
        if version == 2:
            raise error("secret text")
        return version

    bench = Bench(build)
    bench.store.put(1, document("a"))
    bench.policy.get()
    bench.store.put(2, document("b"))
    bench.now_s += REFRESH_S
    assert bench.policy.get() == 1
    assert bench.told == [f"the stored policy is broken: {error.__name__}"]


def test_a_document_that_can_not_be_built_leaves_the_last_good_one() -> None:
    def build(compiled: Mapping[str, Any] | None, version: int) -> int:
        if version == 2:
            raise ValueError("broken networks")
        return version

    bench = Bench(build)
    bench.store.put(1, document("a"))
    assert bench.policy.get() == 1
    bench.store.put(2, document("b"))
    bench.now_s += REFRESH_S
    assert bench.policy.get() == 1


def test_a_pointer_that_vanishes_leaves_the_last_good_policy() -> None:
    bench = Bench()
    bench.store.put(1, document("a"))
    bench.policy.get()
    bench.store.pointer = None
    bench.now_s += REFRESH_S
    assert bench.policy.get()[0] == 1
    assert bench.told == ["the applied policy has vanished"]


def test_with_no_policy_at_all_nobody_is_judged_and_the_store_is_asked_once_per_second() -> None:
    bench = Bench()
    bench.store.error = PolicyStoreError("Timeout")
    bench.policy.prime()
    for _ in range(10):
        with pytest.raises(PolicyUnavailableError):
            bench.policy.get()
        bench.now_s += 0.2
    assert bench.store.looks == 2
    bench.store.error = None
    bench.now_s += 1
    assert bench.policy.get() == (0, None)

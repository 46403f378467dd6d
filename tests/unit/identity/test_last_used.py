"""The day a key was last used: at most one write per key and day, and nothing that can go wrong for a caller."""

from sallyport.identity.last_used import KEPT_S, MAX_KEYS, RETRY_S, LastUsed

NOON_S = 1_800_014_400.0  # 2027-01-15 12:00 UTC
DAY_S = 86_400


class RecordingStore:
    def __init__(self) -> None:
        self.writes: list[tuple[str, str, int]] = []
        self.down = False

    def write(self, key_id: str, day: str, expires_at_s: int) -> None:
        self.writes.append((key_id, day, expires_at_s))
        if self.down:
            raise RuntimeError("down")


def test_a_key_is_written_once_a_day() -> None:
    store = RecordingStore()
    uses = LastUsed(store)
    for second in (0, 1, 3600, DAY_S, DAY_S + 1):
        uses.note("k1", NOON_S + second)
    assert [(key_id, day) for key_id, day, _ in store.writes] == [("k1", "2027-01-15"), ("k1", "2027-01-16")]


def test_a_day_is_one_in_utc_and_kept_for_over_a_year() -> None:
    store = RecordingStore()
    uses = LastUsed(store)
    uses.note("k1", NOON_S + 12 * 3600 - 0.001)
    uses.note("k1", NOON_S + 12 * 3600)
    assert [day for _, day, _ in store.writes] == ["2027-01-15", "2027-01-16"]
    assert store.writes[1][2] == int(NOON_S) + 12 * 3600 + KEPT_S


def test_keys_are_written_apart() -> None:
    store = RecordingStore()
    uses = LastUsed(store)
    for key_id in ("k1", "k2", "k1", "k2"):
        uses.note(key_id, NOON_S)
    assert [key_id for key_id, _, _ in store.writes] == ["k1", "k2"]


def test_a_clock_that_went_back_a_day_writes_nothing() -> None:
    store = RecordingStore()
    uses = LastUsed(store)
    uses.note("k1", NOON_S)
    uses.note("k1", NOON_S - DAY_S)
    assert len(store.writes) == 1


def test_a_failure_is_told_and_made_up_for_a_minute_later() -> None:
    store, told = RecordingStore(), list[Exception]()
    uses = LastUsed(store, told.append)
    store.down = True
    uses.note("k1", NOON_S)
    uses.note("k1", NOON_S + 1)
    uses.note("k2", NOON_S + RETRY_S - 1)  # a store that is down is down for every key
    assert (len(store.writes), len(told)) == (1, 1)
    uses.note("k2", NOON_S + RETRY_S)
    assert (len(store.writes), len(told)) == (2, 2)
    store.down = False
    uses.note("k1", NOON_S + 2 * RETRY_S)
    uses.note("k2", NOON_S + 2 * RETRY_S)
    assert [key_id for key_id, _, _ in store.writes[2:]] == ["k1", "k2"]


def test_a_failure_before_the_clock_went_back_holds_nothing_up() -> None:
    store = RecordingStore()
    uses = LastUsed(store)
    store.down = True
    uses.note("k1", NOON_S)
    store.down = False
    uses.note("k1", NOON_S - 3600)
    assert len(store.writes) == 2


def test_keys_in_memory_are_bounded() -> None:
    store = RecordingStore()
    uses = LastUsed(store)
    for number in range(MAX_KEYS + 1):
        uses.note(f"k{number}", NOON_S)
    store.writes.clear()
    uses.note(f"k{MAX_KEYS}", NOON_S)
    uses.note("k1", NOON_S)
    assert store.writes == []
    uses.note("k0", NOON_S)
    assert len(store.writes) == 1

"""What lists of networks cost: a lookup, by how many there are; the time and memory that loading the largest takes."""

import json
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from random import Random
from statistics import median
from typing import NamedTuple

from bench.cpu import Case, Figures, figure, measure
from bench.emulator import BenchmarkError
from bench.tables import print_table, verdict
from sallyport.access.networks import NetworkSet, format_address

COUNTS = (10, 1_000, 100_000)
AIM_RATIO = 2.0
BATCHES = 15
LOOKUPS = 3000
LOADS = 7
DICT_LOOKUP = "one dict lookup"
_BITS = {4: 32, 6: 128}
_LENGTHS = {4: (16, 32), 6: (29, 64)}
_GLOBAL_UNICAST = 0b001 << 125
_SEED = 20_260_101
_CROWD = {4: 12, 6: 32}
"""Of a crowded list half lies in one network of this length, as lists of one provider's addresses do."""
SPREADS = ("", "crowded, ")


class Network(NamedTuple):
    """An IP version, the first address and the length of the prefix."""

    version: int
    first: int
    length: int

    def __str__(self) -> str:
        return f"{format_address(self.version, self.first)}/{self.length}"


class Loading(NamedTuple):
    """What it takes to load a packed set: CPU in milliseconds, memory in bytes, in all and of JSON alone."""

    characters: int
    load_ms: float
    json_ms: float
    held_bytes: int
    peak_bytes: int


def run(counts: Sequence[int] = COUNTS) -> None:
    """Measure and print."""
    random = Random(_SEED)  # noqa: S311 - no secret; figures of two runs are of the same lists
    lists = {
        (version, spread, count): draw_networks(random, version, count, crowded=bool(spread))
        for version in _BITS
        for spread in SPREADS
        for count in counts
    }
    sets = {name: NetworkSet(map(str, networks)) for name, networks in lists.items()}
    cases = [_dict_case(random)]
    for (version, spread, count), networks in lists.items():
        cases += lookup_cases(f"{version} {spread}{count}", sets[version, spread, count], networks, random)
    _print_lookups(measure(cases, BATCHES), counts)
    print()
    _print_loading({version: measure_loading(sets[version, "", counts[-1]]) for version in _BITS}, counts[-1])


def draw_networks(random: Random, version: int, count: int, *, crowded: bool = False) -> list[Network]:
    """Give different networks anywhere, in IPv6 of those in use (2000::/3), of mixed prefix lengths."""
    found: dict[Network, None] = {}
    least, most = _LENGTHS[version]
    crowd_bits = _BITS[version] - _CROWD[version]
    crowd = _draw_address(random, version) >> crowd_bits << crowd_bits
    while len(found) < count:
        in_crowd = crowded and len(found) % 2 == 0
        host_bits = _BITS[version] - random.randint(max(least, _CROWD[version]) if in_crowd else least, most)
        address = crowd | random.getrandbits(crowd_bits) if in_crowd else _draw_address(random, version)
        found[Network(version, address >> host_bits << host_bits, _BITS[version] - host_bits)] = None
    return list(found)


def lookup_cases(name: str, networks: NetworkSet, drawn: Sequence[Network], random: Random) -> list[Case]:
    """Give the cases `<name> hits` and `<name> misses`. Raises `BenchmarkError` for a set that isn't of these."""
    version = drawn[0].version
    hits = [_draw_inside(random, random.choice(drawn)) for _ in range(LOOKUPS)]
    misses: list[int] = []
    while len(misses) < LOOKUPS:
        number = _draw_address(random, version)
        if not networks.contains(version, number):
            misses.append(number)
    if not all(networks.contains(version, number) for number in hits):
        raise BenchmarkError("an address wasn't found in its network")
    return [
        _lookup_case(f"{name} hits", networks, version, hits),
        _lookup_case(f"{name} misses", networks, version, misses),
    ]


def measure_loading(networks: NetworkSet) -> Loading:
    """Measure how a set is loaded from the JSON that the policy compiler writes."""
    text = json.dumps(networks.pack())
    load_ms = _cpu_ms(lambda: NetworkSet.unpack(json.loads(text)))
    json_ms = _cpu_ms(lambda: json.loads(text))
    tracemalloc.start()
    loaded = NetworkSet.unpack(json.loads(text))
    held_bytes, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if loaded.pack() != networks.pack():
        raise BenchmarkError("a set isn't what was packed")
    return Loading(len(text), load_ms, json_ms, held_bytes, peak_bytes)


def _print_lookups(figures: Mapping[str, Figures], counts: Sequence[int]) -> None:
    spans = {version: f"/{least} to /{most}" for version, (least, most) in _LENGTHS.items()}
    print(
        f"Microseconds of CPU per lookup, median of {BATCHES} batches of {LOOKUPS} random addresses, read already. The"
    )
    print(f"networks are of mixed prefix lengths: IPv4 from {spans[4]}, IPv6 from {spans[6]}.")
    floor_us = figures[DICT_LOOKUP].median_us
    print(f"{DICT_LOOKUP.capitalize()}, measured beside them in the same way: {figure(floor_us)}.\n")
    header = ["networks", *(f"{count:,}" for count in counts), "last to first", "", f"last to {DICT_LOOKUP}"]
    rows = []
    for version, spread, kind in product(_BITS, SPREADS, ("hits", "misses")):
        medians = [figures[f"{version} {spread}{count} {kind}"].median_us for count in counts]
        ratio = medians[-1] / medians[0]
        shown = [*map(figure, medians), figure(ratio), verdict(ratio, AIM_RATIO), figure(medians[-1] / floor_us)]
        rows.append([f"IPv{version}, {spread}{kind}", *shown])
    print_table(header, rows)
    print(f"\nCrowded: half of the list lies in one /{_CROWD[4]} or, IPv6, in one /{_CROWD[6]}.")


def _print_loading(loadings: Mapping[int, Loading], count: int) -> None:
    print(
        f"Loading {count:,} networks as packed: `json.loads` and `NetworkSet.unpack`, CPU, median of {LOADS}; memory as"
    )
    print("tracemalloc sees it, the JSON text itself not counted.\n")
    header = ["", "characters", "load ms", "json.loads ms", "ratio", "kept MB", "bytes each", "peak MB"]
    rows = [
        [
            f"IPv{version}",
            f"{found.characters:,}",
            figure(found.load_ms),
            figure(found.json_ms),
            figure(found.load_ms / found.json_ms),
            figure(found.held_bytes / 1e6),
            figure(found.held_bytes / count),
            figure(found.peak_bytes / 1e6),
        ]
        for version, found in loadings.items()
    ]
    print_table(header, rows)


def _dict_case(random: Random) -> Case:
    numbers = [_draw_address(random, 4) for _ in range(LOOKUPS)]
    table = dict.fromkeys(numbers)

    def batch() -> None:
        for number in numbers:
            table[number]

    return Case(DICT_LOOKUP, LOOKUPS, lambda: batch)


def _lookup_case(name: str, networks: NetworkSet, version: int, numbers: Sequence[int]) -> Case:
    def batch() -> None:
        for number in numbers:
            networks.contains(version, number)

    return Case(name, len(numbers), lambda: batch)


def _draw_address(random: Random, version: int) -> int:
    return random.getrandbits(32) if version == 4 else _GLOBAL_UNICAST | random.getrandbits(125)  # noqa: PLR2004 - IP


def _draw_inside(random: Random, network: Network) -> int:
    host_bits = _BITS[network.version] - network.length
    return network.first | (random.getrandbits(host_bits) if host_bits else 0)


def _cpu_ms(call: Callable[[], object]) -> float:
    taken_ns = []
    for _ in range(LOADS):
        before_ns = time.process_time_ns()
        call()
        taken_ns.append(time.process_time_ns() - before_ns)
    return median(taken_ns) / 1e6

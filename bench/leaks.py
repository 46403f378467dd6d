"""The leak guard on the labelled sample: recall and false alarms per detector; and its speed against plain `re`."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable

from bench.leak_sample import Leak, LookAlike, leaks, look_alikes
from sallyport.policy.verification_rules import ANSWERS, REPORT, LeakRules
from sallyport.verification.leaks.detectors import DETECTORS
from sallyport.verification.leaks.looking import _ungrouped
from sallyport.verification.leaks.scanner import Found, Scanner

_MIN_REST = 6
"""Of a value: this many of its characters in a row that were not found count as a miss."""
_MEGABYTES = 4


def run() -> None:
    """Print all of it."""
    scanners = {name: Scanner([LeakRules(name, (name,), (), (), REPORT, (ANSWERS,))]) for name in DETECTORS}
    _print_recall(scanners, leaks())
    _print_false_alarms(scanners, leaks(), look_alikes())
    _print_speed()


def is_found(leak: Leak, scanner: Scanner) -> bool:
    """Say whether nothing of the value is left when what was found is taken out."""
    found = scanner.scan(leak.text)
    if not found:
        return False
    rest = _without(leak.text, found)
    values = {leak.value, json.dumps(leak.value)[1:-1], json.dumps(json.dumps(leak.value)[1:-1])[1:-1]}
    return not any(
        value[at : at + _MIN_REST] in rest
        for value in values
        for at in range(max(1, len(value) - _MIN_REST + 1))
        if not value[at : at + _MIN_REST].isspace() and "PRIVATE" not in value[max(0, at - 20) : at + 40]
    )


def _without(text: str, found: Iterable[Found]) -> str:
    covered = {place for leak in found for place in range(leak.start, leak.end)}
    return "".join("\0" if place in covered else char for place, char in enumerate(text))


def _print_recall(scanners: dict[str, Scanner], sample: list[Leak]) -> None:
    print("recall on the labelled sample: found of all; then what was missed, by format")
    asked, found, missed = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    for leak in sample:
        asked[leak.detector] += 1
        if is_found(leak, scanners[leak.detector]):
            found[leak.detector] += 1
        else:
            missed[leak.detector, leak.format] += 1
    for name, count in asked.items():
        misses = ", ".join(f"{form} {times}" for (detector, form), times in missed.items() if detector == name)
        print(f"  {name:20} {found[name]:5} of {count:5}  {found[name] / count:7.2%}  {misses and 'missed: ' + misses}")


def _print_false_alarms(scanners: dict[str, Scanner], sample: list[Leak], others: list[LookAlike]) -> None:
    texts = len(others)
    print(f"\nfalse alarms: of {texts} texts that hold no leak, and of the sample's texts that hold only another kind")
    for name, scanner in scanners.items():
        kinds = Counter(text.kind for text in others if scanner.scan(text.text))
        foreign = [leak for leak in sample if leak.detector != name]
        crossed = Counter(leak.detector for leak in foreign if scanner.scan(leak.text))
        told = ", ".join(f"{kind} {times}" for kind, times in (kinds + crossed).items())
        print(
            f"  {name:20} {kinds.total():4}  {kinds.total() / texts:7.2%}   {crossed.total():4} of {len(foreign)}  {told}"
        )


def _print_speed() -> None:
    text = _long_text()
    size = len(text.encode()) / 1e6
    print(f"\nMB/s over {size:.1f} MB of the look-alikes' prose, the best of three")
    for names in (("credentials", "private_keys", "cards"), tuple(DETECTORS)):
        scanner = Scanner([LeakRules("all", names, (), (), REPORT, (ANSWERS,))])
        patterns = [re.compile(_for_re(shape.pattern)) for name in names for shape in DETECTORS[name].shapes]
        ours = _best(lambda scanner=scanner: scanner.scan(text))  # type: ignore[misc]
        plain = _best(lambda patterns=patterns: [list(p.finditer(text)) for p in patterns])  # type: ignore[misc]
        print(f"  {len(names):2} detectors: this guard {size / ours:7.1f}, the same patterns by re {size / plain:7.1f}")


def _long_text() -> str:
    prose = "\n".join(text.text for text in look_alikes() if text.kind in {"prose", "code", "date", "score", "isbn"})
    return prose * (_MEGABYTES * 1_000_000 // len(prose.encode()) + 1)


def _for_re(pattern: str) -> str:
    """Python's `re` has no classes of Unicode's, and writes characters by number in another way."""
    plain = re.sub(r"\\x\{([0-9A-Fa-f]+)\}", lambda match: rf"\x{match[1]:0>2}", _ungrouped(pattern))
    return (
        plain.replace(r"[\pL\pN_]", r"\w").replace(r"[\pL\pN]", r"\w").replace(r"\pL\pN", r"\w").replace(r"\pL", r"\w")
    )


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)

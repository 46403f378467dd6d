"""The leak guard on the labelled sample: recall and false alarms per detector; and its speed against plain `re`."""

import base64
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable

from bench.leak_sample import Leak, LookAlike, leaks, look_alikes
from sallyport.policy.verification_rules import ANSWERS, REPORT, LeakRules
from sallyport.verification.leaks.detectors import DETECTORS
from sallyport.verification.leaks.looking import _ungrouped
from sallyport.verification.leaks.scanner import Scanner

_MIN_REST = 6
"""Of a value: this many of its characters in a row that were not found count as a miss."""
_MEGABYTES = 1
_HARD_BYTES = 250_000
_BASE64 = base64.b64encode(random.Random(7).randbytes(90_000)).decode()  # noqa: S311 - no secret
"""As of an embedding or an image; nothing in it depends on more than a window of it."""
_HARD_TEXTS = {
    "@": "@", "a.": "a.", "a@a.": "a@a.", "digits": "1234567890", "spaces": " ", "-----BEGIN": "-----BEGIN",
    "a key's first line": "-----BEGIN PRIVATE KEY-----", "eyJ": "eyJ", "://a:": "://a:", "bearer": "bearer ",
    "sk-": "sk-", "password=": "password=", "DE89": "DE89 ", "4111 1111": "4111 1111 ", "://a:b@": "://a:b@",
    "base64": _BASE64, "base64 with an @": _BASE64[:1000] + "@",
}  # fmt: skip


def run() -> None:
    """Print all of it."""
    scanners = {name: Scanner([LeakRules(name, (name,), (), (), REPORT, (ANSWERS,))]) for name in DETECTORS}
    _print_recall(scanners, leaks())
    _print_false_alarms(scanners, leaks(), look_alikes())
    _print_speed()
    _print_hard_texts()


def is_found(leak: Leak, scanner: Scanner) -> bool:
    """Say whether nothing of the value is left when what was found is taken out."""
    covered = {place for found in scanner.scan(leak.text) for place in range(found.start, found.end)}
    start, end = _place(leak)
    left = "".join("." if place in covered else "x" for place in range(start, end))
    return bool(covered) and "x" * _MIN_REST not in left


def _place(leak: Leak) -> tuple[int, int]:
    """Give where the value is, as JSON writes it if need be."""
    in_json = json.dumps(leak.value)[1:-1]
    written = [value for value in (leak.value, in_json, json.dumps(in_json)[1:-1]) if value in leak.text]
    start = leak.text.rindex(written[0])
    return start, start + len(written[0])


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
        alarms = kinds.total()
        print(f"  {name:20} {alarms:4}  {alarms / texts:7.2%}   {crossed.total():4} of {len(foreign)}  {told}")


def _print_speed() -> None:
    text = _long_text()
    size = len(text.encode()) / 1e6
    print(f"\nMB/s of CPU time over {size:.1f} MB of the look-alikes' prose, the best of three")
    for names in (("credentials", "private_keys", "cards"), tuple(DETECTORS)):
        scanner = Scanner([LeakRules("all", names, (), (), REPORT, (ANSWERS,))])
        patterns = [re.compile(_for_re(shape.pattern)) for name in names for shape in DETECTORS[name].shapes]
        ours = _best(lambda scanner=scanner: scanner.scan(text))  # type: ignore[misc]
        plain = _best(lambda patterns=patterns: [list(p.finditer(text)) for p in patterns])  # type: ignore[misc]
        print(f"  {len(names):2} detectors: this guard {size / ours:7.1f}, the same patterns by re {size / plain:7.1f}")


def _long_text() -> str:
    prose = "\n".join(text.text for text in look_alikes() if text.kind in {"prose", "code", "date", "score", "isbn"})
    return prose * (_MEGABYTES * 1_000_000 // len(prose.encode()) + 1)


def _print_hard_texts() -> None:
    """A text four times as long may take four times as long, and no more."""
    scanner = Scanner([LeakRules("all", tuple(DETECTORS), (), (), REPORT, (ANSWERS,))])
    print(f"\nTexts made to be slow, all detectors; seconds for {_HARD_BYTES / 1e6:.2f} MB and four times as much")
    for name, unit in _HARD_TEXTS.items():
        short, long = (_best(lambda text=text: scanner.scan(text), 1) for text in _hard_texts(unit))  # type: ignore[misc]
        speed = 4 * _HARD_BYTES / long / 1e6
        print(f"  {name:20} {short:7.3f} {long:7.3f}   times {long / short:4.1f}   {speed:6.1f} MB/s")


def _hard_texts(unit: str) -> tuple[str, str]:
    return tuple((unit * (size // len(unit) + 1))[:size] for size in (_HARD_BYTES, 4 * _HARD_BYTES))  # type: ignore[return-value]


def _for_re(pattern: str) -> str:
    """Python's `re` writes characters by number in another way."""
    return re.sub(r"\\x\{([0-9A-Fa-f]+)\}", lambda match: rf"\U{match[1]:0>8}", _ungrouped(pattern))


def _best(work: Callable[[], object], times: int = 3) -> float:
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)

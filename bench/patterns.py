"""RE2 beside plain `re`: a pattern that backtracks, a search over prose, and what importing either library costs."""

import re
import subprocess
import sys
import time
from collections.abc import Callable

from sallyport.verification.patterns import compile_pattern

_BACKTRACKING = "(a+)+$b"
_PROMPT = "(?i)ignore (all )?previous instructions"
_IMPORT = "import time; t = time.process_time(); import {}; print(time.process_time() - t)"
_LIBRARIES = ("re2", "jsonschema")


def run() -> None:
    """Print all of it."""
    print(f"seconds of CPU that {_BACKTRACKING} takes over so many letters")
    for letters in (18, 20, 22):
        print(f"  re  {letters:7}  {_seconds(lambda n=letters: re.search(_BACKTRACKING, 'a' * n)):.4f}")  # type: ignore[misc]
    linear = compile_pattern(_BACKTRACKING)
    print(f"  RE2 {200_000:7}  {_seconds(lambda: linear.search('a' * 200_000)):.4f}")
    prose = "What is written here has nothing of that, whoever reads it. " * 17_000
    print(f"\nmilliseconds for {len(prose) / 1e6:.1f} MB of prose without a match of {_PROMPT}")
    ours, plain = compile_pattern(_PROMPT), re.compile(_PROMPT)
    for name, pattern in (("RE2", ours), ("re ", plain)):
        print(f"  {name} {1000 * _seconds(lambda found=pattern: found.search(prose)):.1f}")  # type: ignore[misc]
    print("\nmilliseconds of CPU to import, in fresh processes, the least and the most of five")
    for library in _LIBRARIES:
        taken = sorted(_import_ms(library) for _ in range(5))
        print(f"  {library:12} {taken[0]:5.1f} to {taken[-1]:5.1f}")


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _import_ms(library: str) -> float:
    printed = subprocess.run(
        [sys.executable, "-c", _IMPORT.format(library)], capture_output=True, text=True, check=True
    )
    return 1000 * float(printed.stdout)

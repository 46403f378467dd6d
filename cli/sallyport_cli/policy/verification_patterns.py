"""What a document's patterns cost, all together: every process compiles them before its first request is served.

Each alone is bounded where it is written, and yet fifty of the largest would take seconds, and more memory than the
functions' compiler is given, so that every request would get 503.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sallyport.verification.leaks.scanner import Scanner
from sallyport.verification.patterns import compile_pattern
from sallyport_cli.policy.verification import Leaks, Prompts, Verification
from sallyport_cli.policy.verification_compiling import leak_rules
from sallyport_cli.policy.yaml_reading import Path

MAX_INSTRUCTIONS: Final = 100_000
"""Of RE2's programs, at 1 or 2 microseconds each; a usual pattern has 50, `\\pL{40}` has 48,000."""


def pattern_problems(section: Verification | None) -> Iterator[tuple[Path, str]]:
    """Tell what is wrong with patterns and words that are each fit for use."""
    if section is None:
        return
    leaks = section.leaks or ()
    sizes = {"leaks": sum(map(_of_leaks, leaks)), "prompts": sum(map(_of_prompts, section.prompts))}
    for name, size in sizes.items():
        if size > MAX_INSTRUCTIONS:
            reason = f"has patterns of {size:,} instructions when compiled, at most {MAX_INSTRUCTIONS:,} in all rules"
            yield ("verification", name), f"{reason}; shorten repetitions, above all of classes such as \\pL"
    if sizes["leaks"] <= MAX_INSTRUCTIONS:
        yield from _together(leaks)


def _together(leaks: Sequence[Leaks]) -> Iterator[tuple[Path, str]]:
    """Compile what a function would that serves everyone."""
    try:
        Scanner([leak_rules(rule) for rule in leaks])
    except ValueError as error:
        yield ("verification", "leaks"), f"can't be compiled together: {error}"


def _of_leaks(rule: Leaks) -> int:
    """Give the size of a rule's programs; of a word's about a letter each, in either case."""
    return sum(map(len, rule.words)) + sum(_size(own.pattern) for own in rule.patterns)


def _of_prompts(rule: Prompts) -> int:
    return sum(map(_size, (*rule.deny, *rule.allow)))


def _size(text: str) -> int:
    pattern: Any = compile_pattern(text)
    size: int = pattern.programsize
    return size

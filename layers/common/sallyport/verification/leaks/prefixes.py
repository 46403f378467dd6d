"""A pattern for everything that may become a match: what a stream has to hold back until it knows more.

RE2 can't be asked whether the end of a text begins a match, so that question is made a pattern of its own: every prefix
of what a pattern matches. It reads the part of RE2's syntax that our own patterns are written in. Long repetitions
count as endless: an automaton that counts to 300 from every place is megabytes, and 50 times as slow.
"""

import re
from typing import NamedTuple

_TOKEN = re.compile(
    r"(?P<close>\))|(?P<bar>\|)|(?P<open>\((?:\?P<\w+>|\?i:|\?:)?)"
    r"|(?P<boundary>\\b)|(?P<char>\[\^?(?:\\.|[^\]\\])+\]|\\x\{[0-9A-Fa-f]+\}|\\p[A-Z]|\\.|[^\\])"
)
_MAX_COUNTED = 40
_REPEAT = re.compile(r"[?*+]|\{(\d+)(,?)(\d*)\}")


class _Node(NamedTuple):
    """A part of a pattern, and a pattern of its prefixes; `is_boundary` parts match no character."""

    whole: str
    prefixes: str
    is_char: bool = False
    is_boundary: bool = False


def prefixes_of(pattern: str) -> str:
    """Give a pattern that matches every prefix of what `pattern` matches; it may match a little more."""
    node, end = _alternatives(pattern, 0)
    if end != len(pattern):
        raise ValueError("a bracket that nothing opens")
    return node.prefixes


def _alternatives(text: str, at: int) -> tuple[_Node, int]:
    branches: list[list[_Node]] = [[]]
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None or token.lastgroup == "close":
            break
        at = token.end()
        if token.lastgroup == "bar":
            branches.append([])
            continue
        node, at = _part(text, token, at)
        node, at = _repeated(text, node, at)
        branches[-1].append(node)
    wholes = "|".join("".join(node.whole for node in branch) for branch in branches)
    return _Node(f"(?:{wholes})", "(?:" + "|".join(_sequence(branch) for branch in branches) + ")"), at


def _part(text: str, token: re.Match[str], at: int) -> tuple[_Node, int]:
    if token.lastgroup == "boundary":
        return _Node(r"\b", "", is_boundary=True), at
    if token.lastgroup == "char":
        return _Node(token[0], f"{token[0]}?", is_char=True), at
    inner, at = _alternatives(text, at)
    if text[at : at + 1] != ")":
        raise ValueError("a bracket that nothing closes")
    flag = "?i:" if token[0] == "(?i:" else "?:"
    return _Node(f"({flag}{inner.whole})", f"({flag}{inner.prefixes})"), at + 1


def _repeated(text: str, node: _Node, at: int) -> tuple[_Node, int]:
    match = _REPEAT.match(text, at)
    if match is None:
        return node, at
    most, repeat = _most(match), match[0]
    if most > _MAX_COUNTED and match[2]:
        most, repeat = 0, f"{{{match[1]},}}"
    if node.is_char:
        prefixes = f"{node.whole}{{0,{most}}}" if most else f"{node.whole}*"
    elif most == 1:
        prefixes = node.prefixes
    else:
        earlier = f"{{0,{most - 1}}}" if most else "*"
        prefixes = f"(?:{node.whole}{earlier}{node.prefixes})"
    return _Node(node.whole + repeat, prefixes), match.end()


def _most(match: re.Match[str]) -> int:
    """Give how often a part may stand at most; 0 is without end."""
    if match[0] in {"*", "+"}:
        return 0
    if match[0] == "?":
        return 1
    return int(match[3] or 0) if match[2] else int(match[1])


def _sequence(nodes: list[_Node]) -> str:
    """Give the prefixes of parts one after another. A boundary counts only before a part: what follows is unknown."""
    prefixes = ""
    for node in reversed(nodes):
        if node.is_boundary:
            prefixes = rf"(?:\b{prefixes})?" if prefixes else ""
        elif node.is_char:
            prefixes = f"(?:{node.whole}{prefixes})?"
        elif prefixes:
            prefixes = f"(?:{node.whole}{prefixes}|{node.prefixes})"
        else:
            prefixes = node.prefixes
    return prefixes

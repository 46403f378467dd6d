"""How far the guess at a prompt's tokens is from what OpenAI's tokenizers count, and what it costs.

The samples are in bench/prompts (SOURCES.md says whose they are) and the project's own documents, code and data.
"""

import base64
import json
import random
import subprocess
from collections.abc import Iterator, Mapping
from statistics import mean, quantiles
from typing import Any, NamedTuple

from bench.cpu import Case, figure, measure
from bench.limits_crowd import bench_python
from bench.shipped import ROOT
from bench.tables import print_table
from sallyport.limits.estimate import MESSAGE_TOKENS, REPLY_TOKENS, estimate_prompt_tokens

PROMPTS = ROOT / "bench" / "prompts"
PIECE, LANGUAGE_PIECE, LEAST = 1500, 300, 100
"""Characters of a sample."""
BATCHES, CALLS = 9, 50
_OWN = {
    "English documents, Markdown": ("README.md", "docs/**/*.md"),
    "Python": ("layers/common/sallyport/**/*.py",),
    "JSON, indented": ("events/*.json",),
    "YAML": ("template.yaml", "examples/*.yaml"),
    "shell and Makefile": ("Makefile", "tools/*", "layers/common/Makefile"),
    "versions and hashes": ("requirements/run.txt",),
}


class Sample(NamedTuple):
    """A prompt of a kind: the request's body, and the text in it."""

    kind: str
    body: Mapping[str, Any]
    text: str
    messages: int = 1


def run() -> None:
    """Measure and print."""
    taken = list(samples())
    counts = count([sample.text for sample in taken])
    print("Estimated tokens of a prompt, divided by what o200k_base counts; samples are single messages of up to 1,500")
    print("characters (300 of a language), or whole chats. The weights were fitted to these languages and to this")
    print("project's files, among others; YAML, shell, hashes and chats are new to them.\n")
    rows = [_cells(kind, taken, counts) for kind in dict.fromkeys(sample.kind for sample in taken)]
    print_table(["", "samples", "mean", "p5", "p95", "mean, cl100k_base"], [*rows, _cells("", taken, counts)])
    print()
    figures = measure(_cases(), BATCHES)
    rows = [[name, figure(found.median_us), found.range()] for name, found in figures.items()]
    print_table(["CPU per estimate", "median us", "range"], rows)


def samples() -> Iterator[Sample]:
    """Give the samples, kind by kind."""
    for path in sorted((PROMPTS / "languages").glob("*.txt")):
        yield from (_message(path.stem.capitalize(), piece) for piece in pieces(path.read_text(), LANGUAGE_PIECE))
    for kind, patterns in _OWN.items():
        paths = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
        yield from (_message(kind, piece) for path in paths for piece in pieces(path.read_text()))
    for path in sorted((ROOT / "events").glob("*.json")):
        compact = json.dumps(json.loads(path.read_text()), separators=(",", ":"))
        yield from (_message("JSON, compact", piece) for piece in pieces(compact))
    chance = random.Random(1)  # noqa: S311 - it is to be the same in every run
    yield from (_message("random base64", base64.b64encode(chance.randbytes(900)).decode()) for _ in range(20))
    yield from map(_chat, json.loads((PROMPTS / "chats.json").read_text()))


def pieces(text: str, size: int = PIECE) -> Iterator[str]:
    """Cut a text; what is too short at its end is left out."""
    for start in range(0, len(text), size):
        if len(piece := text[start : start + size]) >= LEAST:
            yield piece


def count(texts: list[str]) -> dict[str, list[int]]:
    """Count the tokens of texts, by encoding."""
    command = [str(bench_python()), "-m", "bench.tokenizer"]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(texts), capture_output=True, text=True, check=True)
    counted: dict[str, list[int]] = json.loads(done.stdout)
    return counted


def _message(kind: str, text: str) -> Sample:
    return Sample(kind, {"messages": [{"role": "user", "content": text}]}, text)


def _chat(messages: list[dict[str, str]]) -> Sample:
    text = "\n".join(message["content"] for message in messages)
    return Sample("chats", {"messages": messages}, text, len(messages))


def _cells(kind: str, taken: list[Sample], counts: Mapping[str, list[int]]) -> list[str]:
    chosen = [number for number, sample in enumerate(taken) if kind in {"", sample.kind}]
    ratios, older = (
        [_ratio(taken[number], counts[encoding][number]) for number in chosen]
        for encoding in ("o200k_base", "cl100k_base")
    )
    low, high = _edges(ratios)
    cells = [f"{number:.2f}" for number in (mean(ratios), low, high, mean(older))]
    return [kind or "all", str(len(chosen)), *cells]


def _ratio(sample: Sample, tokens: int) -> float:
    overhead = MESSAGE_TOKENS * sample.messages + REPLY_TOKENS  # as OpenAI documents it
    return estimate_prompt_tokens("chat_completions", sample.body) / (tokens + overhead)


def _edges(ratios: list[float]) -> tuple[float, float]:
    """Give the 5th and the 95th percentile."""
    if len(ratios) == 1:
        return ratios[0], ratios[0]
    found = quantiles(ratios, n=20, method="inclusive")
    return found[0], found[-1]


def _cases() -> list[Case]:
    english = (ROOT / "README.md").read_text()
    russian = (PROMPTS / "languages" / "russian.txt").read_text()
    return [
        _case("100 KB of English", english, 102_400, CALLS),
        _case("100 KB of Russian", russian, 102_400, CALLS),
        _case("a message of 200 characters", english, 200, CALLS * 50),
    ]


def _case(name: str, text: str, size: int, calls: int) -> Case:
    repeated = (text * (size // len(text) + 1)).encode()[:size].decode(errors="ignore")
    body = _message("", repeated).body

    def batch() -> None:
        for _ in range(calls):
            estimate_prompt_tokens("chat_completions", body)

    return Case(name, calls, lambda: batch)

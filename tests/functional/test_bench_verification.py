"""What the group `verification` measures is what it says: bodies of their sizes, that pass, and whole streams."""

import json
from collections.abc import Mapping

import jsonschema
import pytest

from bench.cpu import Figures
from bench.verification import SCHEMA, event_figures, memory_mib, request_figures
from bench.verification_bodies import SIZES_KB, chat, stream
from sallyport.verification.event_stream import EventReader
from sallyport.verification.schema import RequestSchema
from sallyport.verification.stream_rules import StreamChecker
from sallyport.verification.strict_json import parse_strict


@pytest.mark.parametrize("size_kb", SIZES_KB)
def test_bench_bodies_have_their_size_and_pass(size_kb: int) -> None:
    text = chat(size_kb)
    assert 0.8 < len(text) / 1000 / size_kb < 1.4
    RequestSchema.built_in("chat_completions").check(parse_strict(text))
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(json.loads(text))


def test_bench_stream_is_a_whole_one() -> None:
    checker = StreamChecker("chat_completions")
    events = list(EventReader().feed(stream(20)))
    assert len(events) == 23
    assert [checker.feed(event) for event in events] == [None] * 23
    assert checker.end() is None


def all_positive(figures: Mapping[str, Figures]) -> bool:
    return bool(figures) and all(one.median_us > 0 for one in figures.values())


def test_bench_measures_requests_events_and_memory() -> None:
    own = request_figures()
    assert set(own) == set(SIZES_KB)
    assert all(map(all_positive, own.values()))
    assert all_positive(event_figures(20))
    assert 0 < memory_mib(5000) < 100

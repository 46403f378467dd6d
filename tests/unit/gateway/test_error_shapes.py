"""Every error of the tree has a code of its own, and a shape for every SDK."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sallyport import errors
from sallyport.errors import SallyportError, UpstreamRefusedError
from sallyport.gateway.error_shapes import (
    anthropic_shape,
    error_body,
    error_event,
    openai_shape,
    problem_shape,
    shape_for_path,
)
from sallyport.runtime.errors import DeadlineExceeded

ROOT = Path(__file__).parents[3]


def tree(kind: type[SallyportError] = SallyportError) -> Iterator[type[SallyportError]]:
    for child in kind.__subclasses__():
        yield child
        yield from tree(child)


KINDS = [kind for kind in tree() if kind.__module__ == errors.__name__]


def make(kind: type[SallyportError]) -> SallyportError:
    return UpstreamRefusedError("Message.", 400) if kind is UpstreamRefusedError else kind("Message.")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = {line.split("── ")[1].split()[0] for line in (errors.__doc__ or "").splitlines() if "── " in line}
    assert drawn == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_status_and_code_of_the_docstring_are_those_of_the_class(kind: type[SallyportError]) -> None:
    line = next(line for line in (errors.__doc__ or "").splitlines() if f" {kind.__name__} " in line)
    status, code = line.split(kind.__name__)[1].split(maxsplit=2)[:2]
    assert status in {str(kind.status), "4xx"}
    assert code in {kind.code, "the"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_openais_shape(kind: type[SallyportError]) -> None:
    error = json.loads(error_body(make(kind), openai_shape))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == kind.code


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_anthropics_shape(kind: type[SallyportError]) -> None:
    body = json.loads(error_body(make(kind), anthropic_shape))
    assert body["type"] == "error"
    assert body["error"]["type"].endswith("_error") or body["error"]["type"] == "request_too_large"


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_a_problem(kind: type[SallyportError]) -> None:
    body = json.loads(error_body(make(kind), problem_shape))
    assert body["status"] == make(kind).status
    assert body["title"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_code_is_documented(kind: type[SallyportError]) -> None:
    assert f"`{kind.code}`" in (ROOT / "docs" / "errors.md").read_text()


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/chat/completions", openai_shape),
        ("/v1/messages", anthropic_shape),
        ("/v1/messages/count_tokens", anthropic_shape),
        ("/v1/messagesx", openai_shape),
        ("/apps/x/y", problem_shape),
        ("/", openai_shape),
    ],
)
def test_a_path_has_its_sdks_shape(path: str, shape: object) -> None:
    assert shape_for_path(path) is shape


def test_an_error_event_tells_no_foreign_exception() -> None:
    event = error_event(ValueError("prompt-secret"))
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")
    assert b"secret" not in event


def test_a_stream_cut_at_the_deadline_says_so() -> None:
    assert b'"gateway_timeout"' in error_event(DeadlineExceeded())

"""Every field that the providers' SDKs can send is known by the schemas: their types are made of the specifications.

The types that answers are read into count, too: clients send an answer back as the next request's history.
"""

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

import pytest
from anthropic.types import (
    ContentBlock,
    beta,
    message_count_tokens_params,
    message_create_params,
)
from anthropic.types.beta import message_count_tokens_params as beta_count_tokens_params
from anthropic.types.beta import message_create_params as beta_create_params
from openai.types import embedding_create_params
from openai.types.chat import ChatCompletionMessage, completion_create_params
from openai.types.responses import ResponseOutputItem, response_create_params
from pydantic import BaseModel
from typing_extensions import is_typeddict

from sallyport.verification.schema import RequestSchema
from sallyport.verification.unknown_fields import Form

HEADERS = {"betas", "user_profile_id"}
"""Parameters of the SDKs' methods that are sent as headers."""
WRAPPERS = (Required, NotRequired, Annotated)


def alternatives(kind: Any) -> Iterator[Any]:
    """Give the types that a value may be of, of lists those of what they hold as a pair with `list`."""
    origin = get_origin(kind)
    if origin in WRAPPERS:
        yield from alternatives(get_args(kind)[0])
    elif origin is Union or origin is UnionType:
        for one in get_args(kind):
            yield from alternatives(one)
    elif hasattr(kind, "__value__"):
        yield from alternatives(kind.__value__)
    else:
        yield kind


def is_struct(kind: Any) -> bool:
    return is_typeddict(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))


def fields(kind: Any) -> dict[str, Any]:
    if is_typeddict(kind):
        return get_type_hints(kind, include_extras=True)
    kind.model_rebuild()
    return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}


def sayings(kind: Any) -> list[dict[str, Any]]:
    """Give objects that say to be of this type, one for each name it goes by."""
    known = fields(kind)
    for key in ("type", "role"):
        values = [
            value for one in alternatives(known.get(key)) if get_origin(one) is Literal for value in get_args(one)
        ]
        if values:
            return [{key: value} for value in values]
    return [{}]


def missing(form: Form, kind: Any, path: str, seen: set[tuple[int, str]]) -> Iterator[str]:
    """Give the paths of fields that a type has and the schema doesn't know."""
    if form.is_free:
        return
    for one in alternatives(kind):
        origin = get_origin(one)
        if is_struct(one):
            yield from missing_in_struct(form, one, path, seen)
        elif origin is dict:
            yield f"{path} is the client's own"
        elif origin not in {None, Literal} and get_args(one):
            yield from missing(form.items(), get_args(one)[0], f"{path}[]", seen)


def missing_in_struct(form: Form, kind: Any, path: str, seen: set[tuple[int, str]]) -> Iterator[str]:
    for saying in sayings(kind):
        own = form.of(saying)
        if (id(own), str(kind)) in seen:
            continue
        seen.add((id(own), str(kind)))
        for name, value in fields(kind).items():
            if name not in own.names:
                yield f"{path}.{name} of {kind.__name__} {saying}"
            else:
                yield from missing(own.field(name), value, f"{path}.{name}", seen)


REQUESTS: list[tuple[str, Any]] = [
    ("chat_completions", completion_create_params.CompletionCreateParamsNonStreaming),
    ("chat_completions", completion_create_params.CompletionCreateParamsStreaming),
    ("responses", response_create_params.ResponseCreateParamsNonStreaming),
    ("responses", response_create_params.ResponseCreateParamsStreaming),
    ("embeddings", embedding_create_params.EmbeddingCreateParams),
    ("messages", message_create_params.MessageCreateParamsNonStreaming),
    ("messages", message_create_params.MessageCreateParamsStreaming),
    ("messages", beta_create_params.MessageCreateParamsNonStreaming),
    ("messages", beta_create_params.MessageCreateParamsStreaming),
    ("count_tokens", message_count_tokens_params.MessageCountTokensParams),
    ("count_tokens", beta_count_tokens_params.MessageCountTokensParams),
]


@pytest.mark.parametrize(("route", "kind"), REQUESTS, ids=lambda one: getattr(one, "__module__", one))
def test_every_field_of_an_sdks_request_is_known(route: str, kind: Any) -> None:
    root = RequestSchema.built_in(route).known_fields.root
    seen: set[tuple[int, str]] = set()
    unknown = list(missing(root, kind, "", seen))
    assert [one for one in unknown if one.split()[0].removeprefix(".") not in HEADERS] == []
    assert len(seen) >= (1 if route == "embeddings" else 40)


ANSWERS: list[tuple[str, str, Any]] = [
    ("chat_completions", "messages", ChatCompletionMessage),
    ("responses", "input", ResponseOutputItem),
    ("messages", "content", ContentBlock),
    ("messages", "content", beta.BetaContentBlock),
    ("count_tokens", "content", beta.BetaContentBlock),
]


@pytest.mark.parametrize(("route", "where", "kind"), ANSWERS)
def test_every_field_of_an_answer_may_be_sent_back(route: str, where: str, kind: Any) -> None:
    root = RequestSchema.built_in(route).known_fields.root
    items = root.field("messages" if where == "content" else where).items()
    form = items.of({"role": "assistant"}).field("content").items() if where == "content" else items
    assert list(missing(form, kind, where, set())) == []


def test_the_comparison_finds_what_is_missing() -> None:
    root = RequestSchema.built_in("embeddings").known_fields.root
    unknown = list(missing(root, completion_create_params.CompletionCreateParamsStreaming, "", set()))
    assert any(one.startswith(".messages of") for one in unknown)

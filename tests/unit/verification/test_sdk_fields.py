"""Every field that the providers' SDKs can send is known by the schemas: their types are made of the specifications.

The types that answers are read into count, too: clients send an answer back as the next request's history.
"""

import json
from collections.abc import Iterator
from functools import cache
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

from sallyport.errors import SchemaViolationError
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


@cache
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


LEAST = {"budget_tokens": 1024}
"""Numbers that the documentation holds to more than 1."""
PLAIN: dict[Any, Any] = {str: "a", int: 1, float: 1.0, bool: True, object: {}, Any: {}, type(None): None}


def is_required(struct: Any, name: str, kind: Any) -> bool:
    """The SDKs' annotations are texts, in which the class itself doesn't see that a field is `Required`."""
    if not is_typeddict(struct):
        return any(field.is_required() for key, field in struct.model_fields.items() if name in {key, field.alias})
    return name in struct.__required_keys__ or get_origin(kind) is Required


def simplest(kind: Any, name: str = "") -> Any:
    """Give a value of a type with nothing in it that may be left out."""
    one = next(alternatives(kind))
    if is_struct(one):
        known = fields(one)
        return {key: simplest(value, key) for key, value in known.items() if is_required(one, key, value)}
    if get_origin(one) is Literal:
        return get_args(one)[0]
    if get_origin(one) is not None:
        return {} if get_origin(one) is dict else [simplest(get_args(one)[0])]
    return LEAST.get(name, PLAIN[one])


def values(kind: Any, name: str, around: tuple[Any, ...]) -> Iterator[Any]:
    """Give a value for each field, at whatever depth, and each form of it; recursion is followed once.

    What is no JSON, such as a file that the SDK reads, has none.
    """
    for one in alternatives(kind):
        origin = get_origin(one)
        if is_struct(one):
            yield from values_of_struct(one, around)
        elif origin is Literal:
            yield from get_args(one)
        elif origin is None:
            yield from [LEAST.get(name, PLAIN[one])] if one in PLAIN else []
        elif origin is dict:
            yield from ({"a": value} for value in values(get_args(one)[1], name, around))
        else:
            yield from ([value] for value in values(get_args(one)[0], name, around))


def values_of_struct(kind: Any, around: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    least = simplest(kind)
    yield least
    if kind not in around and len(around) < 5:
        for name, value_type in fields(kind).items():
            yield from ({**least, name: value} for value in values(value_type, name, (*around, kind)))


def body_of(route: str, value: dict[str, Any]) -> dict[str, Any]:
    """Give what an SDK sends; the gateway wants a model in any case."""
    body = {name: field for name, field in value.items() if name not in HEADERS}
    return {"model": "a", **body} if route == "responses" else body


@pytest.mark.parametrize(("route", "kind"), REQUESTS, ids=lambda one: getattr(one, "__module__", one))
def test_every_form_of_an_sdks_request_passes(route: str, kind: Any) -> None:
    schema = RequestSchema.built_in(route)
    bodies = [body_of(route, value) for value in values_of_struct(kind, ())]
    for body in bodies:
        schema.check(body)
        schema.known_fields.check(body)
        assert schema.known_fields.strip(body) is body
    assert len(bodies) > (10 if route == "embeddings" else 300)


def json_type(kind: Any) -> Any:
    """Give the JSON type of a type's values; None where it isn't known."""
    origin = get_origin(kind)
    if is_struct(kind) or origin is dict:
        return dict
    if origin is Literal:
        return type(get_args(kind)[0])
    return kind if kind in PLAIN else (list if origin is not None and get_args(kind) else None)


def misfits(kind: Any, around: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    """Give a type's values in each of which one field, at whatever depth, has a value of no type that it may have."""
    least = simplest(kind)
    for name, value_type in fields(kind).items():
        known = {json_type(one) for one in alternatives(value_type)}
        if known.isdisjoint({object, Any}) and name not in HEADERS:
            wrong = next(value for value in ([[5]], {"a": [5]}, "a", True) if type(value) not in known)
            yield {**least, name: wrong}
        for one in alternatives(value_type):
            inner = get_args(one)[0] if get_origin(one) is not None and json_type(one) is list else one
            for struct in alternatives(inner):
                if is_struct(struct) and struct not in around and len(around) < 4:
                    nested = misfits(struct, (*around, kind))
                    yield from ({**least, name: [bad] if inner is not one else bad} for bad in nested)


OPEN = ('"input_schema": ', '"filters": ', '"trigger": ')
"""Fields in which anything may stand: a tool's own schema, comparisons that nest, one that grows with each model."""


@pytest.mark.parametrize(("route", "kind"), REQUESTS, ids=lambda one: getattr(one, "__module__", one))
def test_every_field_of_an_sdks_request_is_held_to_its_type(route: str, kind: Any) -> None:
    schema = RequestSchema.built_in(route)
    refused = 0
    for value in misfits(kind, ()):
        text = json.dumps(body_of(route, value))
        try:
            schema.check(json.loads(text))
        except SchemaViolationError:
            refused += 1
        else:
            assert any(name in text for name in OPEN), text
    assert refused >= (5 if route == "embeddings" else 150)

"""An operator's rules for requests: each narrows, none widens, and no refusal shows a value."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import RequestError, SchemaViolationError, UnsupportedFieldError
from sallyport.policy.verification_rules import IGNORE, REFUSE, STRIP, RequestRules
from sallyport.verification.requests import RequestChecks
from sallyport.verification.schema import RequestSchema
from sallyport.verification.strict_json import check_names, parse_strict

ROUTES = ("chat_completions", "responses", "embeddings", "messages", "count_tokens")
SCHEMAS = {route: RequestSchema.built_in(route) for route in ROUTES}
SECRET = "prompt-5f1c9a7e-secret"
USER = {"role": "user", "content": "hello"}
CHAT: dict[str, Any] = {"model": "m", "messages": [USER]}
MESSAGE: dict[str, Any] = {**CHAT, "max_tokens": 5}
RESPONSE: dict[str, Any] = {"model": "m", "input": "hello"}
FUNCTION = {"type": "function", "function": {"name": "f"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


NEW_TOOL = {"type": "tool_definition", "definition": {"name": "f", "input_schema": {}}}


def at_most(name: str, maximum: int) -> RequestRules:
    said: dict[str, Any] = {name: maximum}
    return RequestRules(**said)


def applied(route: str, body: Mapping[str, Any], *rules: RequestRules) -> Mapping[str, Any]:
    SCHEMAS[route].check(body)
    return RequestChecks(route, SCHEMAS[route], rules).apply(body)


def refused(route: str, body: Mapping[str, Any], *rules: RequestRules) -> RequestError:
    with pytest.raises((SchemaViolationError, UnsupportedFieldError)) as caught:
        applied(route, body, *rules)
    assert SECRET not in caught.value.message
    return caught.value


@pytest.mark.parametrize("rules", [(), (RequestRules(),), (RequestRules(), RequestRules(), RequestRules())])
def test_a_body_that_nothing_is_said_of_stays_the_same_object(rules: tuple[RequestRules, ...]) -> None:
    body = {**CHAT, "logit_bias": {"5": 1}, "of_another_vendor": [SECRET]}
    assert applied("chat_completions", body, *rules) is body


COUNTED: list[tuple[str, str, int, dict[str, Any], str]] = [
    ("chat_completions", "max_messages", 2, {**CHAT, "messages": [USER] * 3}, "messages"),
    ("responses", "max_messages", 1, {**RESPONSE, "input": [USER, USER]}, "input"),
    ("messages", "max_messages", 1, {**MESSAGE, "messages": [USER] * 2}, "messages"),
    ("chat_completions", "max_images", 1, {**CHAT, "messages": [{**USER, "content": [IMAGE, IMAGE]}]}, "messages"),
    ("chat_completions", "max_tools", 1, {**CHAT, "tools": [FUNCTION] * 2}, "tools"),
    ("chat_completions", "max_tools", 1, {**CHAT, "tools": [FUNCTION], "functions": [{"name": "g"}]}, "tools"),
    (
        "responses",
        "max_tools",
        0,
        {**RESPONSE, "input": [{"type": "additional_tools", "role": "developer", "tools": [{"type": "web_search"}]}]},
        "tools",
    ),
    (
        "messages",
        "max_tools",
        0,
        {
            **MESSAGE,
            "messages": [
                USER,
                {"role": "system", "content": [{"type": "tool_addition", "tool": NEW_TOOL}]},
            ],
        },
        "tools",
    ),
    (
        "messages",
        "max_tools",
        0,
        {**MESSAGE, "mcp_servers": [{"type": "url", "name": "n", "url": "https://a.example"}]},
        "tools",
    ),
    ("chat_completions", "max_prompt_bytes", 4, CHAT, "messages"),
    ("chat_completions", "max_prompt_bytes", 9, {**CHAT, "messages": [{**USER, "content": "\u20ac" * 4}]}, "messages"),
    ("responses", "max_prompt_bytes", 4, {"model": "m", "instructions": "hello"}, "input"),
    ("embeddings", "max_prompt_bytes", 5, {"model": "m", "input": [123, 456]}, "input"),
    ("messages", "max_prompt_bytes", 20, {**MESSAGE, "tools": [{"name": "f" * 16, "input_schema": {}}]}, "messages"),
    ("chat_completions", "max_output_tokens", 9, {**CHAT, "max_tokens": 10}, "max_tokens"),
    ("chat_completions", "max_output_tokens", 9, {**CHAT, "max_completion_tokens": 10}, "max_completion_tokens"),
    (
        "chat_completions",
        "max_output_tokens",
        9,
        {**CHAT, "max_tokens": 1, "max_completion_tokens": 10},
        "max_completion_tokens",
    ),
    ("responses", "max_output_tokens", 9, {**RESPONSE, "max_output_tokens": 10}, "max_output_tokens"),
    ("messages", "max_output_tokens", 4, MESSAGE, "max_tokens"),
    ("messages", "max_output_tokens", 5, {**MESSAGE, "fallbacks": [{}, {"max_tokens": 6}]}, "fallbacks[1].max_tokens"),
]


@pytest.mark.parametrize(("route", "name", "maximum", "body", "param"), COUNTED)
def test_more_than_a_maximum_is_refused_and_the_field_named(
    route: str, name: str, maximum: int, body: dict[str, Any], param: str
) -> None:
    error = refused(route, body, at_most(name, maximum))
    assert isinstance(error, SchemaViolationError)
    assert error.param == param
    assert f"at most {maximum}" in error.message


@pytest.mark.parametrize(("route", "name", "maximum", "body", "param"), COUNTED)
def test_one_more_than_a_maximum_is_what_it_takes(
    route: str, name: str, maximum: int, body: dict[str, Any], param: str
) -> None:
    most = next(
        limit for limit in range(maximum + 1, 100) if _passes(route, body, at_most(name, limit))
    )  # the size itself
    assert _passes(route, body, at_most(name, most))
    assert refused(route, body, at_most(name, most - 1)).param == param


def _passes(route: str, body: dict[str, Any], rules: RequestRules) -> bool:
    try:
        return applied(route, body, rules) is body or rules.max_output_tokens is not None
    except SchemaViolationError:
        return False


@pytest.mark.parametrize("name", ["max_messages", "max_images", "max_tools", "max_prompt_bytes", "max_output_tokens"])
@pytest.mark.parametrize("order", [1, -1])
def test_of_several_maxima_the_smallest_counts(name: str, order: int) -> None:
    content = [IMAGE, IMAGE, {"type": "text", "text": "a" * 60}]
    body = {"model": "m", "messages": [{**USER, "content": content}] * 2, "tools": [FUNCTION] * 2, "max_tokens": 50}
    wide, narrow = at_most(name, 1_000), at_most(name, 1)
    assert applied("chat_completions", body, wide, RequestRules()) is body
    refused("chat_completions", body, *(wide, RequestRules(), narrow)[::order])


def test_tools_that_the_list_has_already_are_not_counted_again() -> None:
    searched = {"type": "tool_search_output", "execution": "server", "tools": [{"type": "web_search"}] * 5}
    named = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "f"}}
    rules = RequestRules(max_tools=0)
    response = {**RESPONSE, "input": [searched]}
    assert applied("responses", response, rules)["input"] == [searched]
    message = {**MESSAGE, "messages": [USER, {"role": "system", "content": [named]}]}
    assert applied("messages", message, rules) is message
    refused("responses", {**RESPONSE, "input": [{**searched, "execution": "client"}]}, rules)


def test_a_maximum_of_output_holds_where_the_client_asks_for_nothing() -> None:
    rules = RequestRules(max_output_tokens=9)
    assert applied("chat_completions", CHAT, rules) == {**CHAT, "max_completion_tokens": 9}
    assert applied("chat_completions", {**CHAT, "max_tokens": None}, rules)["max_completion_tokens"] == 9
    assert applied("responses", RESPONSE, rules) == {**RESPONSE, "max_output_tokens": 9}
    lower = {**CHAT, "max_tokens": 3}
    assert applied("chat_completions", lower, rules) is lower


@pytest.mark.parametrize(("longest", "asked"), [(None, 9), (4, 4), (9, 9), (10, 9)])
def test_a_request_that_asks_for_nothing_never_asks_for_more_than_the_model_can_write(
    longest: int | None, asked: int
) -> None:
    checks = RequestChecks("chat_completions", SCHEMAS["chat_completions"], [RequestRules(max_output_tokens=9)])
    assert checks.apply(CHAT, longest)["max_completion_tokens"] == asked


@pytest.mark.parametrize("route", ["embeddings", "count_tokens"])
def test_a_route_without_an_answer_to_hold_gets_no_maximum_of_output(route: str) -> None:
    body = {"model": "m", "input": "a"} if route == "embeddings" else CHAT
    assert applied(route, body, RequestRules(max_output_tokens=9)) is body


@pytest.mark.parametrize("value", [5, "many", None, [], {}, True])
def test_fields_that_only_another_api_has_count_for_nothing(value: Any) -> None:
    """Their types were checked by no schema, and no upstream reads them: they neither fill in nor fail."""
    body = {**CHAT, "max_output_tokens": value, "fallbacks": value, "mcp_servers": None, "input": value}
    rules = RequestRules(max_output_tokens=9, max_tools=0, max_images=0, max_messages=1, max_prompt_bytes=100)
    assert applied("chat_completions", body, rules) == {**body, "max_completion_tokens": 9}


def test_a_forbidden_field_is_refused_whichever_rule_says_so() -> None:
    for rules in [
        (RequestRules(forbidden=("user",)), RequestRules()),
        (RequestRules(), RequestRules(forbidden=("user",))),
    ]:
        error = refused("chat_completions", {**CHAT, "user": SECRET}, *rules)
        assert isinstance(error, UnsupportedFieldError)
        assert error.param == "user"


def test_a_forbidden_field_that_is_null_is_as_good_as_absent() -> None:
    body = {**CHAT, "user": None}
    assert applied("chat_completions", body, RequestRules(forbidden=("user", "seed"))) is body


@pytest.mark.parametrize("value", [0, False, "", [], {}])
def test_a_forbidden_field_that_is_empty_is_refused(value: Any) -> None:
    body = {**CHAT, "of_a_vendor": value}
    assert refused("chat_completions", body, RequestRules(forbidden=("of_a_vendor",))).param == "of_a_vendor"


def test_a_forced_field_is_set_whatever_the_client_sent() -> None:
    rules = RequestRules(forced={"temperature": 0, "of_an_upstream": {"a": 1}})
    body = {**CHAT, "temperature": 1.5}
    forced = {**CHAT, "temperature": 0, "of_an_upstream": {"a": 1}}
    assert applied("chat_completions", body, rules) == forced
    assert applied("chat_completions", CHAT, rules) == forced
    assert body["temperature"] == 1.5
    assert applied("chat_completions", forced, rules) is forced


@pytest.mark.parametrize(
    ("forced", "sent"),
    [
        ({"max_completion_tokens": 5}, {"max_tokens": 1000}),
        ({"max_tokens": 5}, {"max_completion_tokens": 1000}),
        ({"tools": []}, {"functions": [{"name": "f"}]}),
        ({"tool_choice": "none"}, {"function_call": "auto"}),
        ({"max_completion_tokens": 5}, {"max_completion_tokens": 5, "max_tokens": 1000}),
    ],
)
def test_what_says_the_same_as_a_forced_field_is_taken_away(forced: dict[str, Any], sent: dict[str, Any]) -> None:
    rules = RequestRules(forced=forced)
    once = applied("chat_completions", {**CHAT, **sent}, rules)
    assert once == {**CHAT, **forced}
    assert applied("chat_completions", once, rules) is once


def test_a_forced_false_is_not_the_clients_zero() -> None:
    assert applied("chat_completions", {**CHAT, "own": 0}, RequestRules(forced={"own": False}))["own"] is False


def test_a_forbidden_field_is_refused_in_older_words() -> None:
    rules = RequestRules(forbidden=("tools", "tool_choice", "max_tokens"))
    assert refused("chat_completions", {**CHAT, "functions": [{"name": "f"}]}, rules).param == "functions"
    assert refused("chat_completions", {**CHAT, "function_call": "auto"}, rules).param == "function_call"
    body = {**CHAT, "max_completion_tokens": 5}
    assert applied("chat_completions", body, rules) is body


def test_of_two_forced_values_the_wider_rules_counts() -> None:
    rules = (RequestRules(forced={"temperature": 0}), RequestRules(forced={"temperature": 1, "seed": 5}))
    assert applied("chat_completions", CHAT, *rules) == {**CHAT, "temperature": 0, "seed": 5}


def test_a_forced_null_takes_a_clients_value_away() -> None:
    assert applied("chat_completions", {**CHAT, "seed": 5}, RequestRules(forced={"seed": None}))["seed"] is None


@pytest.mark.parametrize(("name", "value"), [("temperature", SECRET), ("stop", [5]), ("max_tokens", 0)])
def test_a_forced_value_that_breaks_the_apis_schema_never_goes_on(name: str, value: Any) -> None:
    error = refused("chat_completions", CHAT, RequestRules(forced={name: value}))
    assert error.param is not None
    assert error.param.startswith(name)


def test_what_is_forced_is_held_to_the_maxima_and_the_operators_schema() -> None:
    forced = RequestRules(forced={"max_tokens": 50})
    assert refused("chat_completions", CHAT, forced, RequestRules(max_output_tokens=49)).param == "max_tokens"
    own = RequestRules(schemas=({"properties": {"max_tokens": {"maximum": 49}}},))
    assert refused("chat_completions", CHAT, forced, own).param == "max_tokens"


def test_an_own_field_that_is_forced_stays_where_unknown_ones_are_left_out() -> None:
    rules = RequestRules(unknown_fields=STRIP, forced={"guided": True})
    assert applied("chat_completions", {**CHAT, "guided": SECRET, "other": 1}, rules) == {**CHAT, "guided": True}


UNKNOWN = {**CHAT, "messages": [{**USER, "mood": SECRET}], "top_k": SECRET}


def test_unknown_fields_are_left_out_of_a_copy() -> None:
    before = json.dumps(UNKNOWN)
    assert applied("chat_completions", UNKNOWN, RequestRules(unknown_fields=STRIP)) == CHAT
    assert json.dumps(UNKNOWN) == before


@pytest.mark.parametrize("rules", [(IGNORE, REFUSE), (REFUSE, STRIP), (STRIP, REFUSE, IGNORE)])
def test_of_several_answers_to_unknown_fields_the_strictest_counts(rules: tuple[str, ...]) -> None:
    error = refused("chat_completions", UNKNOWN, *(RequestRules(unknown_fields=one) for one in rules))
    assert isinstance(error, UnsupportedFieldError)
    assert error.param == "messages[0].mood"
    stripping = (RequestRules(unknown_fields=IGNORE), RequestRules(unknown_fields=STRIP))
    assert applied("chat_completions", UNKNOWN, *stripping) == CHAT


def test_unknown_fields_that_are_ignored_may_not_look_like_known_ones() -> None:
    assert refused("chat_completions", {**CHAT, "messages": [{**USER, "Content": SECRET}]}).param == (
        "messages[0].Content"
    )


def test_fields_are_left_out_before_they_are_counted() -> None:
    body = {**CHAT, "chat_template": "x" * 1_000}
    assert refused("chat_completions", body, RequestRules(max_prompt_bytes=100)).param == "messages"
    rules = RequestRules(unknown_fields=STRIP, max_prompt_bytes=100)
    assert applied("chat_completions", body, rules) == CHAT


OWN = {"type": "object", "required": ["user"], "properties": {"user": {"type": "string", "minLength": 3}}}


def test_every_schema_of_the_operators_counts() -> None:
    rules = (RequestRules(schemas=(OWN,)), RequestRules(schemas=({"properties": {"user": {"enum": ["anna"]}}},)))
    body = {**CHAT, "user": "anna"}
    assert applied("chat_completions", body, *rules) is body
    assert refused("chat_completions", CHAT, *rules).param == "user"
    assert refused("chat_completions", {**CHAT, "user": "ab"}, *rules).param == "user"
    error = refused("chat_completions", {**CHAT, "user": SECRET}, *rules)
    assert (error.param, error.message) == ("user", "Invalid request: user must be one of anna.")


def test_a_schema_that_cant_be_compiled_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="schema"):
        RequestChecks("embeddings", SCHEMAS["embeddings"], [RequestRules(schemas=({"type": "strin"},))])


def test_a_schema_for_all_tenants_is_compiled_once() -> None:
    general, own = RequestRules(schemas=(OWN,)), RequestRules(schemas=({"required": ["seed"]},))
    compiled: dict[int, RequestSchema] = {}
    schema = SCHEMAS["chat_completions"]
    every = [RequestChecks("chat_completions", schema, rules, compiled) for rules in ([general], [general, own])]
    assert len(compiled) == 2
    body = {**CHAT, "user": "anna"}
    assert every[0].apply(body) is body
    with pytest.raises(SchemaViolationError, match="seed is required"):
        every[1].apply(body)


SCHEMA_OF_ALL = {
    "properties": {
        "user": {"pattern": "^[a-z]{1,8}$", "maxLength": 8, "format": "email"},
        "metadata": {
            "additionalProperties": {"type": "integer"},
            "maxProperties": 1,
            "propertyNames": {"maxLength": 4},
        },
        "stop": {"uniqueItems": True, "contains": {"const": "end"}},
        "seed": {"multipleOf": 7, "not": {"const": 14}},
    },
    "dependentRequired": {"top_p": ["temperature"]},
}
VALUES = st.recursive(
    st.sampled_from([SECRET, f"{SECRET} x", 5, -1, 1.5, True, None, 10**60]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)
VALID = {"model": "m", "messages": [USER], "input": "a", "max_tokens": 1}
NAMES = st.sampled_from(
    ["model", "messages", "input", "tools", "user", "metadata", "stop", "seed", "top_p", "system", "max_tokens", "text"]
)


def refusal(act: Callable[[Any], object], body: Any) -> RequestError | None:
    try:
        act(body)
    except RequestError as error:
        return error
    return None


@given(st.sampled_from(ROUTES), st.dictionaries(NAMES, VALUES, max_size=5))
def test_no_refusal_ever_shows_a_string_of_the_body(route: str, fields: dict[str, Any]) -> None:
    rules = RequestRules(unknown_fields=REFUSE, max_prompt_bytes=9, max_tools=0, schemas=(SCHEMA_OF_ALL,))
    for body in (fields, {**VALID, **fields}):
        for act in (SCHEMAS[route].check, RequestSchema(SCHEMA_OF_ALL).check, lambda body: applied(route, body, rules)):
            error = refusal(act, body)
            assert error is None or SECRET not in f"{error} {error.message} {error.param}"


@given(st.sampled_from(ROUTES), st.dictionaries(NAMES, VALUES, max_size=5))
def test_no_body_makes_the_rules_fail_otherwise(route: str, fields: dict[str, Any]) -> None:
    """Whatever passes the schema is counted and looked at without an error that isn't a refusal."""
    rules = RequestRules(max_messages=9, max_images=9, max_tools=9, max_prompt_bytes=10**6, max_output_tokens=9)
    error = refusal(lambda body: applied(route, body, rules), {**VALID, **fields})
    assert error is None or error.status == 400


HOSTILE: list[tuple[str, str]] = [
    ("a name in another case", '{"model": "m", "Model": "n", "messages": [{"role": "user", "content": "a"}]}'),
    ("a name in other letters", '{"model": "m", "me\u017fsages": [], "messages": [{"role": "user", "content": "a"}]}'),
    ("half a surrogate pair", '{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}'),
    ("half a pair in a name", '{"model": "m", "\\udfff": 1, "messages": [{"role": "user", "content": "a"}]}'),
    ("a large number", f'{{"model": "m", "max_tokens": {10**60}, "messages": [{{"role": "user", "content": "a"}}]}}'),
    ("a negative one", f'{{"model": "m", "n": -{10**60}, "messages": [{{"role": "user", "content": "a"}}]}}'),
    ("a number too long", f'{{"model": "m", "seed": {"9" * 70}, "messages": [{{"role": "user", "content": "a"}}]}}'),
    ("depth", '{"model": "m", "messages": ' + "[" * 100 + "]" * 100 + "}"),
    ("depth of objects", '{"model": "m", "metadata": ' + '{"a":' * 100 + "1" + "}" * 101),
]


@pytest.mark.parametrize("text", [text for _, text in HOSTILE], ids=[name for name, _ in HOSTILE])
def test_a_hostile_body_is_a_refusal(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        _through(text)
    assert caught.value.status == 400


def _through(text: str) -> None:
    body = parse_strict(text)
    SCHEMAS["chat_completions"].check(body)
    check_names(body)
    RequestChecks("chat_completions", SCHEMAS["chat_completions"], [RequestRules(max_output_tokens=9)]).apply(body)


def test_a_large_number_where_any_goes_is_no_error() -> None:
    _through(f'{{"model": "m", "seed": {10**60}, "messages": [{{"role": "user", "content": "a"}}]}}')


def test_a_body_as_deep_as_it_may_be_is_looked_at_throughout() -> None:
    inner: dict[str, Any] = {"Deep": SECRET}
    for _ in range(58):
        inner = {"a": inner}
    body = {**CHAT, "tools": [{"type": "function", "function": {"name": "f", "parameters": inner}}]}
    for rules in (RequestRules(max_prompt_bytes=10**6), RequestRules(unknown_fields=STRIP, max_images=0)):
        assert applied("chat_completions", parse_strict(json.dumps(body)), rules) == body

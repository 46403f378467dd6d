"""What is set aside for requests whose answers nobody has seen yet."""

from typing import Any

import pytest

from sallyport.errors import ModelNotAllowedError
from sallyport.gateway.reservation import reserve
from sallyport.limits.estimate import estimate_prompt_tokens
from sallyport.policy.limit_rules import LimitRule, ModelRules, Price, Window

CHAT = {"model": "gpt-a", "messages": [{"role": "user", "content": "one two three"}]}
PROMPT = estimate_prompt_tokens("chat_completions", CHAT)
TOKENS = LimitRule("t", ("key",), "tokens", 1000, Window(60))
PRICE = Price(1_000_000, 4_000_000, 500_000)


@pytest.mark.parametrize(
    ("fields", "output_tokens"),
    [
        ({}, 100),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_completion_tokens": 6, "max_tokens": 7}, 7),
        ({"max_tokens": None, "n": None}, 100),
        ({"n": 3}, 300),
        ({"n": 3, "max_tokens": 5}, 15),
        ({"n": 2.0, "max_tokens": 5.0}, 10),
    ],
)
def test_an_answer_is_reserved_at_its_longest(fields: dict[str, Any], output_tokens: int) -> None:
    reservation = reserve("chat_completions", {**CHAT, **fields}, [TOKENS], ModelRules(100), 999)
    assert reservation.cost["output_tokens"] == output_tokens
    assert reservation.cost["tokens"] == PROMPT + output_tokens
    assert type(reservation.cost["tokens"]) is int
    assert reservation.cap is None


def test_a_model_without_a_length_has_the_stack_s() -> None:
    assert reserve("chat_completions", CHAT, [TOKENS], ModelRules(), 999).cost["output_tokens"] == 999


def test_embeddings_have_no_output() -> None:
    body = {"model": "emb", "input": [[1, 2, 3]], "max_tokens": 9, "n": 9}
    reservation = reserve("embeddings", body, [TOKENS._replace(enforce_cap=True)], ModelRules(100), 999)
    assert (reservation.cost["tokens"], reservation.cost["output_tokens"], reservation.cap) == (3, 0, None)


@pytest.mark.parametrize("unit", ["requests", "concurrent"])
def test_nothing_is_estimated_for_rules_that_do_not_ask(unit: str) -> None:
    reservation = reserve("chat_completions", CHAT, [TOKENS._replace(unit=unit)], ModelRules(100, PRICE), 999)
    assert (reservation.cost, reservation.prompt_tokens, reservation.price) == ({"requests": 1}, None, PRICE)


@pytest.mark.parametrize(("fields", "cap"), [({}, 100), ({"n": 3}, 100), ({"max_tokens": 5}, None)])
def test_a_cap_is_enforced_where_the_client_set_none(fields: dict[str, Any], cap: int | None) -> None:
    rules = [TOKENS, TOKENS._replace(enforce_cap=True)]
    assert reserve("chat_completions", {**CHAT, **fields}, rules, ModelRules(100), 999).cap == cap


def test_money_is_reserved_at_the_model_s_price() -> None:
    rule = TOKENS._replace(unit="usd")
    assert reserve("chat_completions", CHAT, [rule], ModelRules(100, PRICE), 999).cost["usd"] == PROMPT * 1000 + 400_000
    with pytest.raises(ModelNotAllowedError):
        reserve("chat_completions", CHAT, [rule], ModelRules(100), 999)


RESPONSE = {"model": "gpt-a", "input": "one two three"}
MESSAGE = {"model": "claude-a", "max_tokens": 20, "messages": [{"role": "user", "content": "one two three"}]}


@pytest.mark.parametrize(
    ("route", "body", "output_tokens"),
    [
        ("responses", RESPONSE, 100),
        ("responses", {**RESPONSE, "max_output_tokens": 7}, 7),
        ("responses", {**RESPONSE, "max_output_tokens": None, "max_tokens": 5, "n": 3}, 100),
        ("messages", MESSAGE, 20),
        ("messages", {**MESSAGE, "max_tokens": 0, "n": 5}, 0),
        ("messages", {**MESSAGE, "max_completion_tokens": 5000}, 20),
    ],
)
def test_each_route_has_its_own_cap(route: str, body: dict[str, Any], output_tokens: int) -> None:
    rules = [TOKENS, TOKENS._replace(enforce_cap=True)]
    reservation = reserve(route, body, rules, ModelRules(100), 999)
    assert reservation.prompt_tokens == estimate_prompt_tokens(route, body)
    assert reservation.cost["output_tokens"] == output_tokens
    assert reservation.cap == (100 if output_tokens == 100 else None)


@pytest.mark.parametrize(
    ("route", "body"), [("count_tokens", MESSAGE), ("apps", {"model": "app:summarizer", "max_tokens": 5})]
)
@pytest.mark.parametrize("unit", ["tokens", "usd"])
def test_what_makes_no_tokens_costs_a_request_alone(route: str, body: dict[str, Any], unit: str) -> None:
    rules = [TOKENS._replace(unit=unit, enforce_cap=True)]
    reservation = reserve(route, body, rules, ModelRules(100), 999)
    assert (reservation.cost, reservation.prompt_tokens, reservation.cap) == ({"requests": 1}, None, None)

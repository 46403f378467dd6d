"""What is set aside for a request before it is forwarded, when nobody knows yet how long its answer will be."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sallyport.gateway.limit_answers import check_priced
from sallyport.limits.cost import reserved_cost
from sallyport.limits.estimate import estimate_prompt_tokens
from sallyport.limits.rules import Cost
from sallyport.policy.limit_rules import SETTLED_UNITS, LimitRule, ModelRules, Price

_WITHOUT_TOKENS = frozenset({"count_tokens", "apps"})
_WITHOUT_OUTPUT = frozenset({"embeddings"})
_CAPS = {
    "chat_completions": ("max_completion_tokens", "max_tokens"),
    "responses": ("max_output_tokens",),
    "messages": ("max_tokens",),
}
_SEVERAL_CHOICES = frozenset({"chat_completions"})


class Reservation(NamedTuple):
    """The cost, and what it was reckoned from.

    `prompt_tokens`: estimated, None where no rule asks for it. `cap`: tokens of one choice that go upstream as the
    answer's limit, None where the request stays as it is.
    """

    cost: Cost
    prompt_tokens: int | None
    price: Price | None
    cap: int | None


def reserve(
    route: str, body: Mapping[str, Any], rules: Sequence[LimitRule], model: ModelRules, max_output_tokens: int
) -> Reservation:
    """Reckon what a request may cost at most under the rules that count it, as far as that can be known.

    `max_output_tokens` is for a model that has none of its own. Counting tokens and apps cost a request and nothing
    else. Raises `ModelNotAllowedError` where a rule counts money and the model has no price: what it costs isn't
    guessed.
    """
    if route in _WITHOUT_TOKENS:
        return Reservation({"requests": 1}, None, model.price, None)
    check_priced(rules, model.price)
    if not any(rule.unit in SETTLED_UNITS or rule.enforce_cap for rule in rules):
        return Reservation({"requests": 1}, None, model.price, None)
    own_cap = _own_cap(route, body)
    per_choice = _per_choice(route, own_cap, model.max_output_tokens or max_output_tokens)
    choices = int(body.get("n") or 1) if route in _SEVERAL_CHOICES else 1
    prompt_tokens = estimate_prompt_tokens(route, body)
    cost = reserved_cost(prompt_tokens, per_choice * choices, model.price)
    enforced = per_choice and own_cap is None and any(rule.enforce_cap for rule in rules)
    return Reservation(cost, prompt_tokens, model.price, per_choice if enforced else None)


def _per_choice(route: str, own_cap: int | None, longest: int) -> int:
    if route in _WITHOUT_OUTPUT:
        return 0
    return longest if own_cap is None else own_cap


def _own_cap(route: str, body: Mapping[str, Any]) -> int | None:
    """Give the client's own limit; of two that disagree the upstream may go by either. To a schema 5.0 is whole too."""
    given = (body.get(name) for name in _CAPS.get(route, ()))
    return max((int(cap) for cap in given if cap is not None), default=None)

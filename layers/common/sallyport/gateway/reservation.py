"""What is set aside for a request before it is forwarded, when nobody knows yet how long its answer will be."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sallyport.gateway.limit_answers import check_priced
from sallyport.limits.cost import reserved_cost
from sallyport.limits.estimate import estimate_prompt_tokens
from sallyport.limits.rules import Cost
from sallyport.policy.limit_rules import SETTLED_UNITS, LimitRule, ModelRules, Price

_WITHOUT_OUTPUT = frozenset({"embeddings"})
_CAPS = ("max_completion_tokens", "max_tokens")


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

    `max_output_tokens` is for a model that has none of its own. Raises `ModelNotAllowedError` where a rule counts money
    and the model has no price: what it costs isn't guessed.
    """
    check_priced(rules, model.price)
    if not any(rule.unit in SETTLED_UNITS or rule.enforce_cap for rule in rules):
        return Reservation({"requests": 1}, None, model.price, None)
    own_cap = _own_cap(body)
    per_choice = 0 if route in _WITHOUT_OUTPUT else own_cap or model.max_output_tokens or max_output_tokens
    prompt_tokens = estimate_prompt_tokens(route, body)
    cost = reserved_cost(prompt_tokens, per_choice * int(body.get("n") or 1), model.price)
    enforced = per_choice and own_cap is None and any(rule.enforce_cap for rule in rules)
    return Reservation(cost, prompt_tokens, model.price, per_choice if enforced else None)


def _own_cap(body: Mapping[str, Any]) -> int | None:
    """Give the client's own limit; of two that disagree the upstream may go by either. To a schema 5.0 is whole too."""
    return max((int(body[name]) for name in _CAPS if body.get(name)), default=None)

"""Whether the two arms of a canary could take the same requests."""

from typing import Any

import pytest

from sallyport.errors import ModelNotAllowedError, SecretUnavailableError, UnsupportedFieldError
from sallyport.gateway.arms import Arm, may_differ, refusal_of
from sallyport.policy.limit_rules import ModelRules, Price, RouterRules
from sallyport.policy.upstream_rules import Target, UpstreamRules

BODY = {"model": "gpt-a", "messages": []}
OLD = UpstreamRules("old", "openai", "https://a.example.com/v1", "us-east-1")
A, B = (Target(name, "m", ("us-east-1",)) for name in ("old", "new"))
PRICE = Price(1, 1, 1)


def differs(new: UpstreamRules, *, target: Target = B, body: Any = BODY, model: ModelRules | None = None) -> bool:
    rules = RouterRules(1, (), {}, None, upstreams={"old": OLD, "new": new})
    return may_differ(Arm(BODY, (A,), "x"), Arm(body, (target,), "x"), rules, model or ModelRules())


def test_another_place_of_the_same_kind_takes_the_same_requests() -> None:
    assert not differs(OLD._replace(name="new", base_url="https://b.example.com", region="eu-west-1", secret="s"))


@pytest.mark.parametrize("change", [{"provider": "anthropic"}, {"hosted_tools": ("web_search",)}, {"store": True}])
def test_another_kind_of_upstream_may_refuse_what_the_first_takes(change: dict[str, Any]) -> None:
    assert differs(OLD._replace(name="new", **change))


def test_another_body_may_be_refused() -> None:
    assert differs(OLD._replace(name="new"), body=dict(BODY))


def test_a_model_by_its_clients_name_may_be_refused() -> None:
    assert differs(OLD._replace(name="new"), target=B._replace(model=""))


@pytest.mark.parametrize(("model", "expected"), [(ModelRules(), True), (ModelRules(price=PRICE), False)])
def test_a_price_that_one_target_alone_has_may_matter(model: ModelRules, expected: bool) -> None:
    assert differs(OLD._replace(name="new"), target=B._replace(price=PRICE), model=model) is expected


def failing(*errors: Exception | None) -> Any:
    left = iter(errors)

    def ask(_target: Target) -> None:
        error = next(left)
        if error is not None:
            raise error

    return ask


UNFIT = UnsupportedFieldError("no", param="x")


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ((None,), ""),
        ((UNFIT, None), ""),
        ((UNFIT, ModelNotAllowedError("no")), "unsupported_field"),
        ((ModelNotAllowedError("no"), UNFIT), "model_not_allowed"),
        ((KeyError("fault"),), ""),
        ((SecretUnavailableError("no"),), ""),
    ],
)
def test_a_refusal_is_the_first_targets_where_none_takes_the_request(
    errors: tuple[Exception | None, ...], code: str
) -> None:
    assert refusal_of([A, B][: len(errors)], failing(*errors)) == code

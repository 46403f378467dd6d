"""What a request becomes on either arm of a canary, and whether its caller may have the canary's.

Arms are compared by requests that either could have served, so all that may speak against an arm is looked at for both.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sallyport.errors import PermissionRefusedError, RequestError
from sallyport.gateway.canarying import INVALID_PARAMETERS, KEPT_RESPONSE, MODEL_NOT_ALLOWED, NOT_KEPT
from sallyport.identity.principal import Principal
from sallyport.policy.canary_rules import CanaryRules
from sallyport.policy.limit_rules import ModelRules, RouterRules
from sallyport.policy.upstream_rules import Target, UpstreamRules
from sallyport.providers.provider import CHAT_COMPLETIONS, COUNT_TOKENS, MESSAGES, RESPONSES
from sallyport.routing.residency import ELIGIBLE, Caller, Considered, consider, placed

_ROUTES_OF: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            *("frequency_penalty", "functions", "logit_bias", "logprobs", "max_completion_tokens", "modalities"),
            *("prediction", "presence_penalty", "reasoning_effort", "response_format", "seed", "stop", "verbosity"),
        ),
        frozenset({CHAT_COMPLETIONS}),
    ),
    **dict.fromkeys(
        ("include", "instructions", "max_output_tokens", "max_tool_calls", "text", "truncation"), frozenset({RESPONSES})
    ),
    **dict.fromkeys(("output_config", "stop_sequences", "system"), frozenset({MESSAGES, COUNT_TOKENS})),
    "max_tokens": frozenset({CHAT_COMPLETIONS, MESSAGES}),
}
"""Fields that only some of the APIs have; the others answer them with a 400, which no guard takes for a failure."""

_COUNTED = frozenset({"mcp_servers", "output_config", "system", "thinking", "tool_choice"})
"""What tokens are counted by, besides messages and tools (Anthropic, "Count tokens"). Others are refused there."""


class BodyCheck(Protocol):
    """What a body must pass to go on."""

    def check(self, body: Mapping[str, Any]) -> None:
        """Raise a `RequestError` for a body that may not."""


class Arm(NamedTuple):
    """A request on one arm: its body, where it may go, and its client's own text, None where the body is another.

    `canary` is the canary's name on its own arm, empty on the stable one.
    """

    body: Mapping[str, Any]
    targets: Sequence[Target]
    text: str | None
    canary: str = ""


class Asker(NamedTuple):
    """By which rules and for whom an arm is judged, and for which operation.

    `serves`: whether an upstream has it. `kept_by`: the id of the target that keeps the response which is gone on from,
    None where none is. `is_kept`: the client wants the answer to be kept, if an upstream may.
    """

    rules: RouterRules
    caller: Caller
    principal: Principal
    serves: Callable[[UpstreamRules], bool]
    operation: str
    kept_by: str | None = None
    is_kept: bool = False


def canary_arm(
    canary: CanaryRules, stable: Arm, asker: Asker, checks: BodyCheck
) -> tuple[Arm | None, str, tuple[Considered, ...]]:
    """Give the request on the canary's arm, or None and why the caller may not have it; and what was looked at."""
    considered = _considered(canary, stable.body["model"], asker)
    targets = stable.targets if canary.target is None else tuple(one.target for one in considered)
    note = _note(considered, stable, asker)
    if note:
        return None, note, considered
    parameters = _parameters(canary, asker.operation)
    if not parameters:
        return Arm(stable.body, targets, stable.text, canary.name), "", considered
    body = {**stable.body, **parameters}
    if not _fit(parameters, asker.operation) or not _conforms(body, checks):
        return None, INVALID_PARAMETERS, considered
    return Arm(body, targets, None, canary.name), "", considered


def may_differ(stable: Arm, canary: Arm, rules: RouterRules, model: ModelRules) -> bool:
    """Say whether one arm might refuse what the other takes: another body, another kind of upstream, no known price."""
    return stable.body is not canary.body or _kinds(stable, rules, model) != _kinds(canary, rules, model)


def refusal_of(targets: Sequence[Target], ask: Callable[[Target], object]) -> str:
    """Give the code of why no target can take a request, empty where one can. `ask` makes the request for a target.

    What else goes wrong is no refusal: it is found out where the request is made to be sent.
    """
    code = ""
    for target in targets:
        try:
            ask(target)
        except (RequestError, PermissionRefusedError) as error:
            code = code or error.code
        except Exception:  # noqa: BLE001 - a fault of one arm must not reach the other's clients
            return ""
        else:
            return ""
    return code


def _parameters(canary: CanaryRules, operation: str) -> Mapping[str, Any]:
    """Give what is set. Where tokens are counted that is what they are counted by, on the arm of the message itself."""
    if operation != COUNT_TOKENS:
        return canary.parameters
    return {name: value for name, value in canary.parameters.items() if name in _COUNTED}


def _fit(parameters: Mapping[str, Any], operation: str) -> bool:
    return all(operation in _ROUTES_OF.get(name, (operation,)) for name in parameters)


def _conforms(body: Mapping[str, Any], checks: BodyCheck) -> bool:
    try:
        checks.check(body)
    except RequestError:
        return False
    return True


def _considered(canary: CanaryRules, model: str, asker: Asker) -> tuple[Considered, ...]:
    if canary.target is None:
        return ()
    return consider((placed(canary.target, model, asker.rules),), asker.rules, asker.caller, asker.serves)


def _note(considered: Sequence[Considered], stable: Arm, asker: Asker) -> str:
    """Say why the caller may not have the canary's target, empty if it may or if that has none of its own."""
    if not considered:
        return ""
    target, verdict = considered[0]
    if verdict != ELIGIBLE:
        return verdict
    if not _may_use(target.model, asker):
        return MODEL_NOT_ALLOWED
    if asker.kept_by is not None and any(each.id == asker.kept_by for each in stable.targets):
        return KEPT_RESPONSE
    keeps = asker.rules.upstreams[target.upstream].store
    would_be_kept = asker.is_kept and any(asker.rules.upstreams[each.upstream].store for each in stable.targets)
    return NOT_KEPT if would_be_kept and not keeps else ""


def _may_use(model: str, asker: Asker) -> bool:
    """Say whether the caller may use a model, where the canary's is also one that callers ask for by its name.

    Where the policy names no models, every one is.
    """
    permitted, offered = asker.principal.models, asker.rules.models
    return permitted is None or not model or model in permitted or (offered is not None and model not in offered)


def _kinds(arm: Arm, rules: RouterRules, model: ModelRules) -> set[tuple[object, ...]]:
    """Give all that it depends on whether an arm's targets take a request; of the model only whose name it goes by."""
    upstreams = ((rules.upstreams[target.upstream], target) for target in arm.targets)
    return {
        (each.provider, each.hosted_tools, each.store, bool(target.model), (target.price or model.price) is None)
        for each, target in upstreams
    }

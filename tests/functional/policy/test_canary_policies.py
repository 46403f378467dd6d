"""Canaries as an operator applies them: what is said of them, and what reaches the functions."""

import json

from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from sallyport.adapters.dynamodb_policy import DynamoDbPolicyStore
from sallyport.policy.canary_rules import CanaryRules, CanaryStep
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.router_rules import merge_router
from tests.functional.policy.conftest import Run
from tests.support.aws import CONFIG_TABLE, LOCAL_AWS, Emulator

CANARY = "version: 1\ncanaries:\n  - {name: cool, model: gpt-4o, parameters: {temperature: 0.2}, weight: 5}\n"
RAMP = CANARY.replace("weight: 5", "steps: [{weight: 5, hold: 1h}, {weight: 50}], guard: off, match: {claims: {a: b}}")


def stored_canaries(emulator: Emulator) -> tuple[int, tuple[CanaryRules, ...]]:
    """Give the version in force and its canaries, as a function would read them."""
    store = DynamoDbPolicyStore(AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url}), CONFIG_TABLE)
    pointer = store.read_pointer()
    assert pointer is not None
    compiled = json.loads(store.read_compiled(pointer))
    return pointer.version, merge_router(RouterRules(0, (), {}, None), compiled, pointer.version).canaries


def test_canaries_that_are_applied_reach_the_routers(run: Run, emulator: Emulator) -> None:
    applied = run("policy", "apply", "policy.yaml", text=CANARY)
    assert (applied.exit_code, applied.stderr) == (0, "")
    assert applied.stdout.splitlines()[:3] == ["+ canaries", "+ canaries.cool", "+ canaries.cool.name: cool"]
    version, [canary] = stored_canaries(emulator)
    assert (version, canary) == (
        1,
        CanaryRules("cool", ("gpt-4o",), (), (), None, {"temperature": 0.2}, (CanaryStep(500),)),
    )


def test_a_change_of_a_canary_is_shown_and_one_rolled_back_is_as_it_was(run: Run, emulator: Emulator) -> None:
    run("policy", "apply", "policy.yaml", text=CANARY)
    diff = run("policy", "diff", "policy.yaml", text=RAMP)
    assert diff.stderr == (
        "policy.yaml:3: canaries[0].guard: warning: is off, so the steps follow one another by the clock, however the "
        "canary does\n"
    )
    assert diff.stdout.splitlines() == [
        "- canaries.cool.weight: 5",
        "+ canaries.cool.steps[0]",
        "+ canaries.cool.steps[0].weight: 5",
        "+ canaries.cool.steps[0].hold: 1h",
        "+ canaries.cool.steps[1]",
        "+ canaries.cool.steps[1].weight: 50",
        "+ canaries.cool.match.claims.a: b",
        "- canaries.cool.guard",
        "+ canaries.cool.guard: off",
    ]
    assert run("policy", "apply", "policy.yaml", text=RAMP).exit_code == 0
    assert stored_canaries(emulator)[1][0].guard is None
    assert run("policy", "rollback").exit_code == 0
    version, [canary] = stored_canaries(emulator)
    assert (version, canary.steps) == (3, (CanaryStep(500),))


def test_a_canary_with_a_mistake_is_not_applied(run: Run) -> None:
    refused = run("policy", "apply", "policy.yaml", text=CANARY.replace("weight: 5", "weight: 500"))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == "policy.yaml:3: canaries[0].weight: is a share in percent, from 0 to 100\n"
    assert run("policy", "history").stderr == "no policy was ever applied\n"

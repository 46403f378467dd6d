"""Canaries: which are refused, with line and reason, and what of the others is put in force."""

import json

import pytest

from sallyport.policy.canary_rules import CanaryRules, CanaryStep, GuardRules
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, GLOBAL, Target, UpstreamRules
from sallyport_cli.policy.compiling import compile_policy
from sallyport_cli.policy.loading import check_loadable
from tests.unit.cli.policy.documents import flow, problems, read

DOCUMENT = """\
version: 1
upstreams:
  up: {provider: openai, base_url: "https://api.openai.com/v1", region: us-east-1, secret: up}
  search: {provider: openai, base_url: "https://eu.api.openai.com/v1", region: eu-west-1, hosted_tools: [web_search]}
  fra: {provider: bedrock, region: eu-central-1}
  mine: {provider: app, base_url: "https://app.internal/x", region: eu-west-1, secret: mine}
  yours: {provider: app, base_url: "https://new.internal/x", region: eu-west-1, secret: mine}
models: {m: {targets: [{upstream: up}]}, s: {targets: [{upstream: search}]}, t: {targets: [{upstream: up}]}}
apps: {a: {upstream: mine}}
tenants: {acme: {}}
"""
PLACE = "policy.yaml:11: canaries[0]"
STACKS = UpstreamRules(DEFAULT_UPSTREAM, "openai", "https://api.openai.com/v1", "us-east-1")


def with_canary(fields: str) -> str:
    """Give a document with one canary, its name and these further fields."""
    return f"{DOCUMENT}canaries: [{{name: next, {fields}}}]"


def sound(fields: str) -> str:
    """Give a document with a sound canary whose further fields these are."""
    return with_canary(f"model: m, target: {{upstream: up, model: n}}, weight: 5, {fields}")


def in_force(text: str) -> tuple[CanaryRules, ...]:
    """Give the canaries that the routers read of a document."""
    compiled = compile_policy(read(text))
    check_loadable(compiled)
    parameters = RouterRules(0, (), {}, None, {DEFAULT_UPSTREAM: STACKS})
    return merge_router(parameters, json.loads(compiled), 1).canaries


NEXT = "target: {upstream: up, model: n}"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        # whom it is for
        (f"{NEXT}, weight: 5", ".model: is missing: whom is it for? One of model, models, route, routes, app"),
        (f"model: m, route: messages, {NEXT}, weight: 5", ".route: can't stand beside model"),
        (f"model: m, models: [s], {NEXT}, weight: 5", ".models: can't stand beside model"),
        ("routes: [messages], app: a, target: {upstream: up}, weight: 5", ".app: can't stand beside routes"),
        (f"models: [], {NEXT}, weight: 5", ".models: must have at least one entry"),
        (f"models: [m, m], {NEXT}, weight: 5", ".models: names one twice"),
        (f"model: other, {NEXT}, weight: 5", ".model: not in models: other (known: m, s, t)"),
        (f"models: [m, other], {NEXT}, weight: 5", ".models: not in models: other"),
        (f"route: chat, {NEXT}, weight: 5", ".route: 'chat' is no route of a canary; known are chat_completions, resp"),
        (f"routes: [messages, apps], {NEXT}, weight: 5", ".routes[1]: 'apps' is no route of a canary"),
        ("app: other, target: {upstream: yours}, weight: 5", ".app: not in apps: other (known: a)"),
        # where it is
        ("model: m, weight: 5", ".target: is missing: a canary needs one, or parameters"),
        ("app: a, weight: 5", ".target: is missing: of an app a canary is another upstream"),
        ("model: m, target: {upstream: other}, weight: 5", ".target.upstream: not in upstreams: other (known: up, sea"),
        ("model: m, target: {upstream: mine}, weight: 5", ".target.upstream: mine is the upstream of an app"),
        ("app: a, target: {upstream: up}, weight: 5", ".target.upstream: up is no upstream of the provider app"),
        ("app: a, target: {upstream: mine}, weight: 5", ".target.upstream: is that of a itself"),
        ("app: a, target: {upstream: yours, model: m}, weight: 5", ".target.model: doesn't go with app"),
        ("app: a, target: {upstream: yours, regions: [eu-west-1]}, weight: 5", ".target.regions: doesn't go with app"),
        ("app: a, target: {upstream: yours, price: {input: 1, output: 1}}, weight: 5", ".target.price: doesn't go wi"),
        ("app: a, target: {upstream: yours}, parameters: {x: 1}, weight: 5", ".parameters: doesn't go with app"),
        ("model: m, target: {upstream: fra, model: nova}, weight: 5", ".target.regions: its model is neither a known"),
        ("model: m, target: {upstream: fra, model: us.amazon.nova}, weight: 5", ".target.regions: "),
        ("models: [m, s], target: {upstream: fra}, weight: 5", ".target.model: is missing: of several models it can't"),
        ("route: messages, target: {upstream: fra}, weight: 5", ".target.model: is missing: of several models"),
        (
            "model: m, target: {upstream: up, regions: [eu-west-1]}, weight: 5",
            ".target.regions: must have the upstream",
        ),
        # how much
        (f"model: m, {NEXT}", ".weight: is missing: give it, or steps"),
        (f"model: m, {NEXT}, weight: 5, steps: [{{weight: 5}}]", ".steps: can't stand beside weight"),
        (f"model: m, {NEXT}, weight: 100.01", ".weight: is a share in percent, from 0 to 100"),
        (f"model: m, {NEXT}, weight: -1", ".weight: is a share in percent, from 0 to 100"),
        (f"model: m, {NEXT}, weight: 0.001", ".weight: has more than two decimals"),
        (f"model: m, {NEXT}, weight: 1e-9", ".weight: has more than two decimals"),
        (f"model: m, {NEXT}, weight: 1e999", ".weight: must be a number"),
        (f"model: m, {NEXT}, weight: true", ".weight: must be a number"),
        (f"model: m, {NEXT}, weight: five", ".weight: must be a number"),
        (f"model: m, {NEXT}, steps: []", ".weight: is missing: give it, or steps"),
        (f"model: m, {NEXT}, steps: [{{weight: 0}}]", ".steps[0].weight: must be above 0"),
        (f"model: m, {NEXT}, steps: [{{weight: 5}}, {{weight: 9}}]", ".steps[0].hold: is missing; only the last"),
        (f"model: m, {NEXT}, steps: [{{hold: 1m}}]", ".steps[0].weight: is missing"),
        (f"model: m, {NEXT}, steps: [{{weight: 5, hold: 59s}}]", ".steps[0].hold: must be from 1m to 30d"),
        (f"model: m, {NEXT}, steps: [{{weight: 5, hold: 31d}}]", ".steps[0].hold: must be from 1m to 30d"),
        (f"model: m, {NEXT}, steps: [{{weight: 5, hold: 0d}}]", ".steps[0].hold: must be from 1m to 30d"),
        (f"model: m, {NEXT}, steps: [{{weight: 5, hold: day}}]", ".steps[0].hold: must be a number with s, m, h or d"),
        (f"model: m, {NEXT}, steps: [{{weight: 5, hold: 600}}]", ".steps[0].hold: must be text, and is a number"),
        (
            f"model: m, {NEXT}, steps: [{{weight: 5, hold: 1h}}, {{weight: 5, hold: 1h}}]",
            ".steps[1].weight: must be above that of the step before, 5",
        ),
        (
            f"model: m, {NEXT}, steps: [{{weight: 5.50, hold: 1h}}, {{weight: 5, hold: 1h}}]",
            ".steps[1].weight: must be above that of the step before, 5.5",
        ),
        (
            f"model: m, {NEXT}, steps: {flow([f'{{weight: {n}, hold: 1h}}' for n in range(1, 22)])}",
            ".steps: has 21 entries; at most 20",
        ),
    ],
)
def test_a_canary_that_is_for_nothing_or_goes_nowhere_is_refused(fields: str, told: str) -> None:
    [line] = problems(with_canary(fields))
    assert line.startswith(f"{PLACE}{told}")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("sticky_by: ip", ".sticky_by: must be one of subject, tenant, key, header:NAME, cookie:NAME"),
        ("sticky_by: header", ".sticky_by: a header's name is 1 to 64 lower-case letters"),
        ("sticky_by: 'header:'", ".sticky_by: a header's name"),
        ("sticky_by: 'header:X-Session'", ".sticky_by: a header's name"),
        ("sticky_by: 'header:authorization'", ".sticky_by: authorization isn't taken: it may hold a credential"),
        ("sticky_by: 'header:x-forwarded-for'", ".sticky_by: x-forwarded-for isn't taken"),
        ("sticky_by: 'cookie:'", ".sticky_by: a cookie's name is 1 to 64"),
        ("sticky_by: 'cookie:a b'", ".sticky_by: a cookie's name"),
        ("sticky_by: 'cookie:a=b'", ".sticky_by: a cookie's name"),
        ("match: {tenants: other}", ".match.tenants: not in tenants: other (known: acme)"),
        ("match: {tenants: []}", ".match.tenants: must have at least one entry"),
        ("match: {tenants: [acme, acme]}", ".match.tenants: names one twice"),
        ("match: {regions: eu}", ".match.regions[0]: 'eu' is no name of a region"),
        ("match: {countries: [UK]}", ".match.countries[0]: 'UK' is no country code of ISO 3166-1 alpha-2; write GB"),
        ("match: {claims: {plan: [beta]}}", ".match.claims.plan: must be text of 1 to 256 printable characters"),
        ("match: {claims: {plan: 1.5}}", ".match.claims.plan: must be text of 1 to 256"),
        ("match: {claims: {plan: ''}}", ".match.claims.plan: must be text of 1 to 256"),
        ("match: {claims: {/a~2: b}}", ".match.claims./a~2: begins with / and so is a JSON Pointer"),
        ("match: {headers: {X-Beta: a}}", ".match.headers.X-Beta: a header's name is 1 to 64 lower-case letters"),
        ("match: {headers: {cookie: a}}", ".match.headers.cookie: cookie isn't taken: it may hold a credential"),
        ("match: {headers: {x-beta: 1}}", ".match.headers.x-beta: must be text, and is a number; put it in quotes"),
        ("match: {headers: {x-beta: ' a'}}", ".match.headers.x-beta: must be 1 to 256 characters of ASCII"),
        ("match: {groups: [a]}", ".match.groups: is no key of a policy document; known here: tenants, regions, cou"),
        ("start: now", ".start: must be applied or command"),
        ("guard: on", ".guard: must be a mapping, and is text"),
        ("guard: true", ".guard: must be a mapping, and is true"),
        ("guard: {alpha: 0.1}", ".guard.alpha: is no key of a policy document; known here: false_alarm, max_err"),
        ("guard: {false_alarm: 0.00009}", ".guard.false_alarm: must be at least 0.0001"),
        ("guard: {false_alarm: 0.21}", ".guard.false_alarm: must be at most 0.2"),
        ("guard: {max_error_increase: 2}", ".guard.max_error_increase: must be at most 1"),
        ("guard: {max_error_increase: -0.1}", ".guard.max_error_increase: must be at least 0"),
        ("guard: {max_error_increase: '5%'}", ".guard.max_error_increase: must be a number, and is text"),
        ("guard: {min_requests: 0}", ".guard.min_requests: must be at least 1"),
        ("guard: {min_requests: 10000001}", ".guard.min_requests: must be at most 10000000"),
        ("guard: {min_subjects: 0}", ".guard.min_subjects: must be at least 1"),
        ("guard: {min_subjects: 501}", ".guard.min_subjects: must be at most 500"),
        ("guard: {slow_ms: 0}", ".guard.slow_ms: must be at least 1"),
        ("guard: {slow_ms: 900001}", ".guard.slow_ms: must be at most 900000"),
        ("guard: {slow_first_token_ms: 1.5}", ".guard.slow_first_token_ms: must be a whole number, and is a number w"),
        ("guard: {max_slow_increase: 0.1}", ".guard.max_slow_increase: does nothing without slow_ms or slow_first"),
        ("guard: {slow_ms: 1, max_slow_increase: 1.1}", ".guard.max_slow_increase: must be at most 1"),
        ("guard: null", ".guard: has no value; give one, or take the key out"),
        ("parameter: {top_p: 1}", ".parameter: is no key of a policy document; did you mean parameters?"),
        ("parameters: [top_p]", ".parameters: must be a mapping, and is a list"),
        (
            "parameters: {top p: 1}",
            ".parameters.top p: a parameter's name is 1 to 64 lower-case letters, digits and unde",
        ),
        (
            "parameters: {Model: m}",
            ".parameters.Model: a parameter's name is 1 to 64 lower-case letters, digits and unde",
        ),
        ("parameters: {seed: 1e999}", ".parameters.seed: has a number that JSON can't say"),
        ("parameters: {stop: [a, null]}", ".parameters.stop[1]: has no value; give one, or take the key out"),
        ("guard: {max_error_increase: 1e999}", ".guard.max_error_increase: must be at most 1"),
        ("parameters: {provider: {only: [a]}}", ".parameters.provider: is refused, as of a client: provider would ch"),
        ("parameters: {web_search_options: {}}", ".parameters.web_search_options: is refused, as of a client: web_s"),
        ("parameters: {conversation: c}", ".parameters.conversation: is refused, as of a client: conversation refer"),
    ],
)
def test_a_canary_with_a_mistake_is_refused_by_its_line(fields: str, told: str) -> None:
    [line] = problems(sound(fields))
    assert line.startswith(f"{PLACE}{told}")


def test_parameters_are_of_four_kilobytes_at_most() -> None:
    assert problems(sound(f"parameters: {{stop: {'a' * 4085}}}")) == [
        f"{PLACE}.parameters: has 4,097 bytes of JSON; at most 4,096"
    ]
    assert in_force(sound(f"parameters: {{stop: {'a' * 4084}}}"))[0].parameters == {"stop": "a" * 4084}


@pytest.mark.parametrize("name", ["model", "stream", "messages", "input", "tools", "store", "n", "background"])
def test_what_is_for_the_caller_to_say_no_canary_sets(name: str) -> None:
    assert problems(sound(f"parameters: {{top_p: 1, {name}: 1}}")) == [
        f"{PLACE}.parameters.{name}: {name} can't be set by a canary; that is for the caller, or for the target"
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "a canary is 1 to 40 lower-case letters, digits and dashes"),
        ("Next", "a canary is 1 to 40 lower-case letters, digits and dashes"),
        ("a" * 41, "a canary is 1 to 40 lower-case letters, digits and dashes"),
        ("parameters", "parameters is the canary of the stack's parameters, which this section replaces"),
    ],
)
def test_a_name_that_commands_could_not_take_is_refused(name: str, told: str) -> None:
    text = f"version: 1\ncanaries: [{{name: '{name}', model: m, parameters: {{top_p: 1}}, weight: 5}}]"
    assert problems(text) == [f"policy.yaml:2: canaries[0].name: {told}"]


def test_each_canary_has_a_name_of_its_own_and_there_are_at_most_twenty() -> None:
    one = "{name: next, model: m, parameters: {top_p: 1}, weight: 5}"
    assert problems(f"version: 1\ncanaries:\n  - {one}\n  - {one}\n") == [
        "policy.yaml:4: canaries[1].name: is that of canaries[0] already"
    ]
    many = [one.replace("next", f"c{number}") for number in range(21)]
    assert problems(f"version: 1\ncanaries: {flow(many)}") == ["policy.yaml:2: canaries: has 21 entries; at most 20"]
    assert len(in_force(f"version: 1\ncanaries: {flow(many[:20])}")) == 20


def test_all_canaries_together_ask_for_ten_claims_at_most() -> None:
    def asking(name: str, first: int) -> str:
        claims = ", ".join(f"c{number}: a" for number in range(first, first + 6))
        return f"  - {{name: {name}, model: m, parameters: {{top_p: 1}}, weight: 5, match: {{claims: {{{claims}}}}}}}\n"

    head = "version: 1\ncanaries:\n"
    assert problems(head + asking("a", 0) + asking("b", 5)) == [
        "policy.yaml:4: canaries[1].match.claims: with it all canaries together ask for 11 claims; at most 10"
    ]
    assert len(in_force(head + asking("a", 0) + asking("b", 4))) == 2


def test_tools_that_the_upstreams_of_the_models_may_run_a_canary_may_ask_for() -> None:
    asks = "parameters: {web_search_options: {}}, weight: 5"
    assert in_force(with_canary(f"model: s, {asks}"))[0].parameters == {"web_search_options": {}}
    assert in_force(with_canary(f"model: m, target: {{upstream: search}}, {asks}"))
    for whom in ("model: m", "models: [m, s]", "route: chat_completions", "model: s, target: {upstream: up}"):
        assert len(problems(with_canary(f"{whom}, {asks}"))) == 1


@pytest.mark.parametrize(
    ("weight", "hundredths"),
    [("5", 500), ("5.0", 500), ('"5"', 500), ("0.01", 1), ("99.99", 9999), ("100", 10_000), ("0", 0), ("1e1", 1000)],
)
def test_a_weight_is_taken_however_it_is_written(weight: str, hundredths: int) -> None:
    [canary] = in_force(with_canary(f"model: m, {NEXT}, weight: {weight}"))
    assert canary.steps == (CanaryStep(hundredths),)


def test_a_ramp_is_taken_with_its_times_in_any_unit() -> None:
    steps = "[{weight: 1, hold: 60s}, {weight: 5, hold: 30d}, {weight: 50, hold: 90m}, {weight: 51, hold: 1h}]"
    [canary] = in_force(with_canary(f"model: m, {NEXT}, steps: {steps}"))
    held = (CanaryStep(100, 60), CanaryStep(500, 30 * 86_400), CanaryStep(5000, 5400), CanaryStep(5100, 3600))
    assert canary.steps == held


@pytest.mark.parametrize("text", ["off", "'off'", "false", "False"])
def test_a_guard_is_off_however_that_is_written(text: str) -> None:
    assert in_force(sound(f"guard: {text}"))[0].guard is None


def test_a_guard_that_is_not_named_watches() -> None:
    assert in_force(with_canary(f"model: m, {NEXT}, weight: 5"))[0].guard == GuardRules()
    assert in_force(sound("guard: {}"))[0].guard == GuardRules()


@pytest.mark.parametrize(
    ("target", "regions"),
    [
        ("{upstream: up}", ("us-east-1",)),
        ("{upstream: up, regions: [us-east-1, us-west-2]}", ("us-east-1", "us-west-2")),
        ("{upstream: fra, model: amazon.nova-x-v1:0}", ("eu-central-1",)),
        ("{upstream: fra, model: eu.amazon.nova, regions: [eu-central-1, eu-west-1]}", ("eu-central-1", "eu-west-1")),
        ("{upstream: fra, model: global.amazon.nova}", ("eu-central-1", GLOBAL)),
    ],
)
def test_a_target_has_its_regions_as_a_model_s_has(target: str, regions: tuple[str, ...]) -> None:
    [canary] = in_force(with_canary(f"model: m, target: {target}, weight: 5"))
    assert canary.target is not None
    assert canary.target.regions == regions


def test_at_bedrock_the_one_model_that_clients_name_tells_the_regions() -> None:
    text = with_canary("models: [eu.amazon.nova], target: {upstream: fra}, weight: 5")
    assert problems(text.replace("models: {m:", "models: {eu.amazon.nova: {targets: [{upstream: up}]}, m:")) != []
    stays = text.replace("eu.amazon.nova", "amazon.nova")
    [canary] = in_force(stays.replace("models: {m:", "models: {amazon.nova: {targets: [{upstream: up}]}, m:"))
    assert canary.target == Target("fra", "", ("eu-central-1",))


def test_without_upstreams_a_canary_is_at_the_stack_s() -> None:
    head = "version: 1\ncanaries: [{name: next, model: any, weight: 5, target:"
    [canary] = in_force(f"{head} {{upstream: default, model: n}}}}]")
    assert canary.target == Target(DEFAULT_UPSTREAM, "n", ("us-east-1",))
    assert problems(f"{head} {{upstream: up}}}}]") == [
        "policy.yaml:2: canaries[0].target.upstream: not in upstreams: up (known: default)"
    ]

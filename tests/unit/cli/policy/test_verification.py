"""The section on verification: which documents are refused, with line and reason, and which are warned of."""

import pytest

from tests.unit.cli.policy.documents import problems, read

PLACES = """\
version: 1
upstreams:
  up: {provider: openai, base_url: "https://api.openai.com/v1", region: us-east-1, secret: up}
  checker: {provider: guard, base_url: "https://guard.example/check", region: eu-west-1, secret: checker}
  mine: {provider: app, base_url: "https://app.internal/x", region: eu-west-1, secret: mine}
models: {m: {targets: [{upstream: up}]}}
apps: {a: {upstream: mine}}
tenants: {acme: {}, globex: {}}
"""
UNUSED = "policy.yaml:4: upstreams.checker: warning: no model, app, canary or guard uses it"
DETECTOR = "detectors: [cards]"
LETTERS = "'[a-z]{3}\\pL{40}'"


def told(section: str) -> list[str]:
    """Give what is said of a document with this section, without the place that all have in common."""
    start = "policy.yaml:9: verification"
    found = problems(f"{PLACES}verification: {section}\n")
    assert all(line.startswith(start) for line in found), found
    return [line.removeprefix(start).removeprefix(".") for line in found]


def request(fields: str) -> str:
    """Give a section with rules for all requests."""
    return f"{{request: {{{fields}}}}}"


def leak(fields: str) -> str:
    """Give a section with one rule of the leak guard."""
    return f"{{leaks: [{{name: s, action: block, {fields}}}]}}"


def prompt(fields: str) -> str:
    """Give a section with one rule for prompts."""
    return f"{{prompts: [{{name: s, action: block, {fields}}}]}}"


def guard(fields: str) -> str:
    """Give a section with one guard."""
    return f"{{guards: [{{name: s, {fields}}}]}}"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ("max_messages: 0", ".max_messages: must be at least 1"),
        ("max_messages: true", ".max_messages: must be a whole number, and is true"),
        ("max_images: -1", ".max_images: must be at least 0"),
        ("max_tools: 1.5", ".max_tools: must be a whole number"),
        ("max_prompt_bytes: 5242881", ".max_prompt_bytes: must be at most 5242880"),
        ("max_output_tokens: none", ".max_output_tokens: must be a whole number"),
        ("max_tokens: 1", ".max_tokens: is no key of a policy document"),
        ("unknown_fields: drop", ".unknown_fields: 'drop' is no way with unknown fields; known are ignore, strip, ref"),
        ("forbidden: [model]", ".forbidden[0]: model can't be forbidden"),
        ("forbidden: [messages]", ".forbidden[0]: messages can't be forbidden"),
        ("forbidden: [User]", ".forbidden[0]: a field's name is 1 to 64 lower-case letters"),
        ("forbidden: [user, user]", ".forbidden: names one twice"),
        ("forced: {model: x}", ".forced.model: model can't be forced"),
        ("forced: {messages: []}", ".forced.messages: messages can't be forced"),
        ("forced: {stream: true}", ".forced.stream: stream can't be forced"),
        ("forced: {Top_P: 1}", ".forced.Top_P: a field's name is"),
        ("forced: {temperature: 3}", ".forced.temperature: is refused by chat_completions: temperature must be at mos"),
        ("forced: {temperature: warm}", ".forced.temperature: is refused by chat_completions: temperature must be of"),
        ("forced: {temperature: null}", ".forced.temperature: has no value"),
        ("forced: {temprature: 0}", ".forced.temprature: is no field of these APIs; for one of your upstream's own, n"),
        ("forbidden: [user], forced: {user: x}", ".forbidden: user is forced: a client's value counts for nothing"),
        ("forced: {max_tokens: 9}, max_output_tokens: 8", ".forced.max_tokens: is above verification.request.max_out"),
        ("schema: [1]", ".schema: must be a JSON Schema, or the name of a file with one"),
        ("schema: null", ".schema: has no value"),
        ("schema: {type: objekt}", ".schema: the schema is not valid at /type"),
        ("schema: {$ref: 'https://x.example/y'}", ".schema: the schema is not valid at /: Resource 'https://x.exam"),
        ("schema: {$ref: other.json}", ".schema: the schema is not valid at /"),
        ("schema: {$ref: '#/$defs/none'}", ".schema: the schema is not valid at /"),
        ("schema: {pattern: '(a)\\1'}", ".schema: the schema is not valid at /pattern"),
        ("schema: {properties: {a: {pattern: '(?=a)b'}}}", ".schema: the schema is not valid at /properties/a/pattern"),
        ("schema: {$schema: 'http://json-schema.org/draft-04/schema#'}", ".schema: $schema must be that of draft 2020"),
        ("schema: ../x.json", ".schema: must be a .json or .yaml file beside the document or below"),
        ("schema: /etc/x.json", ".schema: must be a .json or .yaml file beside the document or below"),
        ("schema: x.txt", ".schema: must be a .json or .yaml file beside the document or below"),
        ("schema: x.json", ".schema: x.json: a document from stdin has no files beside it"),
    ],
)
def test_a_mistake_in_rules_for_requests_is_told(fields: str, reason: str) -> None:
    [problem] = told(request(fields))
    assert problem.startswith(f"request{reason}")


def test_a_schema_that_multiplies_is_refused() -> None:
    steps = [f"s{n}: {{anyOf: [{{$ref: '#/$defs/s{n + 1}'}}, {{$ref: '#/$defs/s{n + 1}'}}]}}" for n in range(30)]
    schema = f"{{$ref: '#/$defs/s0', $defs: {{{', '.join([*steps, 's30: true'])}}}}}"
    [problem] = told(request(f"schema: {schema}"))
    assert problem.endswith("with its references followed, the schema has more than 100000 checks")


def test_a_large_schema_is_refused() -> None:
    [problem] = told(request(f"schema: {{const: {'x' * 100_000}}}"))
    assert problem == "request.schema: has 100,012 bytes of JSON; at most 100,000"


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ("{response: maybe}", "response: 'maybe' is no mode of verification; known are off, report, enforce"),
        ("{leak: []}", "leak: is no key of a policy document; did you mean leaks?"),
        ("{routes: {chat: {response: off}}}", "routes.chat: 'chat' is no route of a provider; known are chat_completi"),
        ("{routes: {apps: {response: off}}}", "routes.apps: 'apps' is no route of a provider"),
        ("{routes: {messages: {strip: [a..b]}}}", "routes.messages.strip[0]: a path is of names and indexes"),
        ("{routes: {messages: {strip: ['a[*]']}}}", "routes.messages.strip[0]: a path is of names and indexes"),
        ("{routes: {messages: {strip: ['$.a']}}}", "routes.messages.strip[0]: a path is of names and indexes"),
        (
            "{routes: {messages: {request: {forced: {temperature: 2}}}}}",
            "routes.messages.request.forced.temperature: is refused by messages: temperature must be at most 1",
        ),
        ("{tenants: {initech: {request: {}}}}", "tenants: not in tenants: initech (known: acme, globex)"),
        ("{tenants: {acme: {}}}", "tenants.acme.request: is missing"),
    ],
)
def test_a_mistake_by_route_or_tenant_is_told(section: str, reason: str) -> None:
    [problem] = told(section)
    assert problem.startswith(reason)


@pytest.mark.parametrize(
    ("section", "told_of"),
    [
        ("{request: {forbidden: max_tokens}}", "request.forbidden: max_tokens is what every request of messages has"),
        (
            "{routes: {messages: {request: {forbidden: max_tokens}}}}",
            "routes.messages.request.forbidden: max_tokens is what every request of messages has",
        ),
        (
            "{tenants: {acme: {request: {forbidden: max_tokens}}}}",
            "tenants.acme.request.forbidden: max_tokens is what every request of messages has",
        ),
    ],
)
def test_what_an_api_requires_is_never_forbidden(section: str, told_of: str) -> None:
    [problem] = told(section)
    assert problem.startswith(told_of)


def test_what_one_api_requires_may_be_forbidden_on_another() -> None:
    section = "{routes: {chat_completions: {request: {forbidden: max_tokens}}}}"
    assert read(f"{PLACES}verification: {section}\n").warnings == (UNUSED,)


def test_a_forbidden_field_that_no_api_has_is_warned_of() -> None:
    document = read(f"{PLACES}verification: {request('forbidden: [logit_bais, zzz]')}\n")
    place = "policy.yaml:9: verification.request.forbidden: warning: "
    assert document.warnings == (
        UNUSED,
        f"{place}logit_bais is no field of these APIs; did you mean logit_bias?",
        f"{place}zzz is no field of these APIs",
    )


@pytest.mark.parametrize(
    ("general", "own", "reason"),
    [
        ("max_tools: 5", "max_tools: 6", ".max_tools: is above verification.request.max_tools, 5"),
        ("unknown_fields: refuse", "unknown_fields: strip", ".unknown_fields: is less than verification.request.unkn"),
        ("forced: {top_p: 1}", "forced: {top_p: 0.5}", ".forced.top_p: is forced to another value in verification.re"),
        ("forbidden: user", "forced: {user: x}", ".forced.user: is forbidden in verification.request"),
        ("forced: {user: x}", "forbidden: user", ".forbidden: user is forced in verification.request"),
        ("max_output_tokens: 5", "forced: {max_tokens: 6}", ".forced.max_tokens: is above verification.request.max_o"),
    ],
)
@pytest.mark.parametrize("place", ["routes: {chat_completions:", "tenants: {acme:"])
def test_what_looks_as_if_it_widened_is_refused(general: str, own: str, reason: str, place: str) -> None:
    name = place.replace(": {", ".").removesuffix(":")
    [problem] = told(f"{{request: {{{general}}}, {place} {{request: {{{own}}}}}}}}}")
    assert problem.startswith(f"{name}.request{reason}")


def test_a_tenant_and_a_route_may_not_contradict_each_other() -> None:
    route = "routes: {chat_completions: {request: {forced: {top_p: 1, max_tokens: 9}}}}"
    found = told(f"{{{route}, tenants: {{acme: {{request: {{forced: {{top_p: 0.5}}, max_output_tokens: 8}}}}}}}}")
    assert found == [
        "routes.chat_completions.request.forced.max_tokens: is above verification.tenants.acme.request.max_output_"
        "tokens, 8: every request would be refused",
        "tenants.acme.request.forced.top_p: is forced to another value in verification.routes.chat_completions.request",
    ]


def test_routes_may_differ_and_so_may_tenants() -> None:
    routes = "chat_completions: {request: {forced: {top_p: 1}}}, messages: {request: {forced: {top_p: 0.5}}}"
    tenants = "acme: {request: {max_output_tokens: 8}}, globex: {request: {forced: {max_tokens: 9}}}"
    assert read(f"{PLACES}verification: {{routes: {{{routes}}}, tenants: {{{tenants}}}}}\n").warnings == (UNUSED,)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ("detectors: [credentails]", ".detectors[0]: 'credentails' is no detector; did you mean credentials?"),
        ("detectors: [passwords]", ".detectors[0]: 'passwords' is no detector; known are credentials, private_keys"),
        ("detectors: [cards, cards]", ".detectors: names one twice"),
        ("detectors: []", ".detectors: is missing: give detectors, patterns or words"),
        ("words: [abc]", ".words[0]: must be 4 to 256 characters without spaces around them"),
        ("words: ['abcd ']", ".words[0]: must be 4 to 256 characters without spaces around them"),
        (f"words: [{'x' * 257}]", ".words[0]: must be 4 to 256 characters without spaces around them"),
        ("patterns: [{name: t, pattern: '(a', max_length: 5}]", ".patterns[0].pattern: missing )"),
        ("patterns: [{name: t, pattern: '(a)\\1', max_length: 5}]", ".patterns[0].pattern: a back-reference can't be"),
        ("patterns: [{name: t, pattern: '(?<=a)b', max_length: 5}]", ".patterns[0].pattern: look-ahead and look-beh"),
        ("patterns: [{name: t, pattern: 'a*', max_length: 5}]", ".patterns[0].pattern: the pattern matches where th"),
        ("patterns: [{name: t, pattern: 'a{2000}', max_length: 5}]", ".patterns[0].pattern: "),
        (f"patterns: [{{name: t, pattern: {'a' * 513}, max_length: 5}}]", ".patterns[0].pattern: a pattern may have"),
        ("patterns: [{name: t, pattern: a, max_length: 257}]", ".patterns[0].max_length: must be at most 256"),
        ("patterns: [{name: t, pattern: a}]", ".patterns[0].max_length: is missing"),
        ("patterns: [{name: T, pattern: a, max_length: 1}]", ".patterns[0].name: a pattern's name is 1 to 40 lower-c"),
        (
            "patterns: [{name: t, pattern: a, max_length: 1}, {name: t, pattern: b, max_length: 1}]",
            ".patterns[1].name: is that of patterns[0] already",
        ),
        (f"{DETECTOR}, where: [request]", ".where[0]: 'request' is no direction; known are requests, answers"),
        (f"{DETECTOR}, where: []", ".where: must have at least one entry"),
        (f"{DETECTOR}, routes: [chats]", ".routes[0]: 'chats' is no route; known are chat_completions"),
        (f"{DETECTOR}, apps: [b]", ".apps: not in apps: b (known: a)"),
        (f"{DETECTOR}, apps: [a], routes: [messages]", ".routes: can't stand beside apps"),
        (f"{DETECTOR}, tenants: [acmee]", ".tenants: not in tenants: acmee (known: acme, globex)"),
        (f"{DETECTOR}, tenants: []", ".tenants: must have at least one entry"),
        (f"{DETECTOR}, severity: high", ".severity: is no key of a policy document"),
    ],
)
def test_a_mistake_in_a_rule_of_the_leak_guard_is_told(fields: str, reason: str) -> None:
    [problem] = told(leak(fields))
    assert problem.startswith(f"leaks[0]{reason}")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ("roles: [user]", ".deny: is missing: give deny, allow, forbid or max_repetition"),
        ("deny: ['(?=x)']", ".deny[0]: look-ahead and look-behind can't be matched in linear time"),
        ("allow: ['x*']", ".allow[0]: the pattern matches where there is nothing"),
        ("deny: [x], roles: [users]", ".roles[0]: 'users' is no role; known are system, developer, user, assistant"),
        ("deny: [x], roles: []", ".roles: must have at least one entry"),
        ("forbid: [contrl]", ".forbid[0]: 'contrl' is no kind of characters; known are control, bidi"),
        ("max_repetition: 1", ".max_repetition: must be at least 2"),
        ("deny: [x], routes: [apps]", ".routes[0]: 'apps' is no route of a provider"),
        ("deny: [x], tenants: [nobody]", ".tenants: not in tenants: nobody"),
        ("deny: [x], apps: [a]", ".apps: is no key of a policy document"),
    ],
)
def test_a_mistake_in_a_rule_for_prompts_is_told(fields: str, reason: str) -> None:
    [problem] = told(prompt(fields))
    assert problem.startswith(f"prompts[0]{reason}")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ("upstream: up", ".upstream: up is no upstream of the provider guard, and speaks openai"),
        ("upstream: mine", ".upstream: mine is no upstream of the provider guard, and speaks app"),
        ("upstream: nowhere", ".upstream: not in upstreams: nowhere (known: up, checker, mine)"),
        ("timeout_ms: 100", ".upstream: is missing"),
        ("upstream: checker, timeout_ms: 49", ".timeout_ms: must be at least 50"),
        ("upstream: checker, timeout_ms: 10001", ".timeout_ms: must be at most 10000"),
        (
            "upstream: checker, on_failure: maybe",
            ".on_failure: 'maybe' is no way with failures; known are closed, open",
        ),
        ("upstream: checker, routes: [apps]", ".routes[0]: 'apps' is no route of a provider"),
        ("upstream: checker, tenants: [nobody]", ".tenants: not in tenants: nobody"),
        ("upstream: checker, url: 'https://x.example'", ".url: is no key of a policy document"),
    ],
)
def test_a_mistake_in_a_guard_is_told(fields: str, reason: str) -> None:
    [problem] = told(guard(fields))
    assert problem.startswith(f"guards[0]{reason}")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ("region: westeurope, base_url: 'https://g.example'", "region: 'westeurope' is no name of a region"),
        ("base_url: 'https://g.example'", "region: is missing"),
        ("region: eu-west-1", "base_url: is missing"),
        ("region: eu-west-1, base_url: 'http://g.example'", "base_url: must begin with https://"),
        ("region: eu-west-1, base_url: 'https://10.0.0.1'", "base_url: must have a name as its host"),
        ("region: eu-west-1, base_url: 'https://metadata.goog'", "base_url: is the host of a metadata service"),
        ("region: eu-west-1, base_url: 'https://g.example', hosted_tools: [a]", "hosted_tools: doesn't go with guard"),
        ("region: eu-west-1, base_url: 'https://g.example', store: true", "store: goes with openai alone"),
    ],
)
def test_a_guard_s_upstream_is_held_to_what_all_are(fields: str, reason: str) -> None:
    upstream = f"  checker: {{provider: guard, {fields}}}"
    text = "\n".join(upstream if "provider: guard" in line else line for line in PLACES.splitlines())
    [problem] = problems(f"{text}\nverification: {guard('upstream: checker')}\n")
    assert problem.startswith(f"policy.yaml:4: upstreams.checker.{reason}")


def test_a_guard_may_be_in_the_operator_s_own_network() -> None:
    text = PLACES.replace("https://guard.example/check", "https://guard.internal/check")
    assert read(f"{text}verification: {guard('upstream: checker')}\n").warnings == ()


@pytest.mark.parametrize("rules", ["leaks", "prompts", "guards"])
def test_two_rules_of_one_name_are_refused(rules: str) -> None:
    fields = {"leaks": f"action: block, {DETECTOR}", "prompts": "action: block, deny: x", "guards": "upstream: checker"}
    rule = f"{{name: one, {fields[rules]}}}"
    assert told(f"{{{rules}: [{rule}, {rule}]}}") == [f"{rules}[1].name: is that of {rules}[0] already"]


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        ("leaks", f"action: block, patterns: [{{name: p, pattern: {LETTERS}, max_length: 43}}]"),
        ("prompts", f"action: block, deny: [{LETTERS}]"),
    ],
)
def test_patterns_are_bounded_together(rules: str, rule: str) -> None:
    two, three = ([f"{{name: r{number}, {rule}}}" for number in range(count)] for count in (2, 3))
    assert read(f"{PLACES}verification: {{{rules}: [{', '.join(two)}]}}\n").warnings == (UNUSED,)
    [problem] = told(f"{{{rules}: [{', '.join(three)}]}}")
    assert problem.startswith(f"{rules}: has patterns of ")
    assert "at most 100,000 in all rules" in problem


def test_many_mistakes_are_told_at_once() -> None:
    assert len(told("{response: x, leaks: [{name: S, action: y}], prompts: [{name: p, action: z, deny: '('}]}")) == 5


def test_a_document_without_tenants_or_apps_may_name_any_tenant_and_no_app() -> None:
    section = "verification: {leaks: [{name: s, detectors: cards, action: block, tenants: [x]"
    assert read(f"version: 1\n{section}}}]}}\n").warnings == ()
    [problem] = problems(f"version: 1\n{section}, apps: [a]}}]}}\n")
    assert problem == "policy.yaml:2: verification.leaks[0].apps: not in apps: a (known: none)"


def test_off_is_a_mode_and_not_false() -> None:
    document = read("version: 1\nverification: {response: off, routes: {messages: {response: off}}}\n")
    assert document.policy.verification is not None
    assert document.policy.verification.response == "off"


RESIDENT = PLACES.replace("{acme: {}, globex: {}}", "{acme: {residency: eu}, globex: {residency: us}}") + (
    "residency: {zones: {eu: [eu-west-1], us: [us-east-1]}, default: us}\n"
)


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        ("tenants: acme", None),
        ("tenants: globex", "eu-west-1 is outside of the residency of globex: their requests are refused"),
        (
            "on_failure: open",
            "eu-west-1 is outside of the residency of globex, every tenant without one of its own: "
            "their prompts aren't shown to it",
        ),
    ],
)
def test_a_guard_outside_of_residencies_is_warned_of(fields: str, warning: str | None) -> None:
    document = read(f"{RESIDENT}verification: {guard(f'upstream: checker, {fields}')}\n")
    told = [line for line in document.warnings if "guards" in line]
    place = "policy.yaml:10: verification.guards[0].upstream: warning: "
    assert told == ([] if warning is None else [f"{place}{warning}"])

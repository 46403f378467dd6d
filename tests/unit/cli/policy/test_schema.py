"""The JSON Schema for editors takes what is sound, and refuses the mistakes that it can know."""

import pytest
from jsonschema import Draft202012Validator

from sallyport_cli.policy.schema import policy_schema
from sallyport_cli.policy.yaml_reading import parse_yaml
from tests.unit.cli.policy.documents import EVERY_KEY

OFF = "version: 1\ncanaries: [{name: a, model: m, parameters: {top_p: 1}, weight: 1, guard: false}]"


@pytest.fixture
def schema() -> Draft202012Validator:
    Draft202012Validator.check_schema(policy_schema())
    return Draft202012Validator(policy_schema())


def test_it_names_itself() -> None:
    names = {name: policy_schema()[name] for name in ("$schema", "$id", "title")}
    assert names == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:sallyport:policy:1",
        "title": "Sallyport policy document",
    }


@pytest.mark.parametrize("text", [EVERY_KEY, "version: 1", "version: 1\naccess: {}", OFF])
def test_it_takes_a_sound_document(schema: Draft202012Validator, text: str) -> None:
    schema.validate(parse_yaml(text).values)


@pytest.mark.parametrize(
    "text",
    [
        "version: 2",
        "access: {}",
        "version: 1\nacces: {}",
        "version: 1\naccess: null",
        "version: 1\naccess: {deny: 192.0.2.1}",
        "version: 1\naccess: {deny: [everyone]}",
        "version: 1\naccess: {countries: {deny: [UK]}}",
        "version: 1\ntenants: {-a: {}}",
        "version: 1\nlimits: [{scope: key, unit: requests, window: 1m}]",
        "version: 1\nlimits: [{scope: person+key, unit: words, limit: 1, window: 1m}]",
        "version: 1\nlimits: [{scope: [person], unit: requests, limit: 1, window: 1m}]",
        "version: 1\nlimits: [{scope: key, unit: requests, limit: 0, window: 1m}]",
        "version: 1\nlimits: [{scope: key, unit: requests, limit: none, window: 1m}]",
        "version: 1\nlimits: [{scope: key, unit: requests, limit: 1, window: week}]",
        "version: 1\nlimits: [{scope: key, unit: requests, limit: 1, window: 1m, match: {models: []}}]",
        "version: 1\nmodels: {}",
        "version: 1\ncanaries: {}",
        "version: 1\ncanaries: [{model: m, weight: 1}]",
        "version: 1\ncanaries: [{name: A, model: m, weight: 1}]",
        "version: 1\ncanaries: [{name: a, model: m, weight: 101}]",
        "version: 1\ncanaries: [{name: a, route: apps, weight: 1}]",
        "version: 1\ncanaries: [{name: a, model: m, weight: 1, guard: on}]",
        "version: 1\ncanaries: [{name: a, model: m, weight: 1, guard: {alpha: 0.1}}]",
        "version: 1\ncanaries: [{name: a, model: m, weight: 1, sticky_by: ip}]",
        "version: 1\ncanaries: [{name: a, model: m, steps: [{weight: 1, hold: day}]}]",
        "version: 1\ncanaries: [{name: a, model: m, weight: 1, match: {headers: {X-Beta: a}}}]",
        "version: 1\ncanaries: [{name: a, model: m, weight: 1, match: {tenants: []}}]",
        "version: 1\ncanaries: [{name: a, model: m, weight: 1, guard: {min_subjects: 501}}]",
        "version: 1\ncanaries: [{name: a, model: m, weight: 1, parameters: {top p: 1}}]",
        "version: 1\nmodels: {m: {targets: [{}]}}",
        "version: 1\nmodels: {m: {targets: [{upstream: a, regions: [europe]}]}}",
        "version: 1\nupstreams: {}",
        "version: 1\nupstreams: {a: {provider: bedrock}}",
        "version: 1\nupstreams: {a: {provider: azure, region: eu-west-1}}",
        "version: 1\nupstreams: {a: {provider: bedrock, region: europe}}",
        "version: 1\nupstreams: {-a: {provider: bedrock, region: eu-west-1}}",
        "version: 1\nupstreams: {a: {provider: bedrock, region: eu-west-1, base_url: ftp://a}}",
        "version: 1\napps: {A: {upstream: a}}",
        "version: 1\napps: {a: {upstream: a, request_headers: [X-A]}}",
        "version: 1\nresidency: {endpoints: {eu: https://a.example}}",
        "version: 1\ntenants: {a: {allow_global: 1}}",
        "version: 1\nmodels: {m: {price: {input: 1}}}",
        "version: 1\ntenants: {a: {limits: [{name: x, limit: none, match: {tenants: [a]}}]}}",
        "version: 1\ntenants: {a: {suspended: 1}}",
        "version: 1\nidentity: {issuers: [{issuer: https://a.example}]}",
        "version: 1\nidentity: {issuers: [{issuer: https://a.example, audiences: [a], algorithms: [none]}]}",
    ],
)
def test_it_refuses_a_mistake(schema: Draft202012Validator, text: str) -> None:
    assert not schema.is_valid(parse_yaml(text).values)

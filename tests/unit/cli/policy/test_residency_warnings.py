"""Targets that nobody can be sent to, and tenants that can be sent to none, are told when the policy is applied."""

import time

from tests.unit.cli.policy.documents import flow, read

TEXT = """\
version: 1
upstreams:
  eu: {provider: bedrock, region: eu-west-1}
  us: {provider: bedrock, region: us-east-1}
models:
  e: {targets: [{upstream: eu, model: amazon.a}]}
  u: {targets: [{upstream: us, model: amazon.a}]}
  both: {targets: [{upstream: eu, model: amazon.a}, {upstream: us, model: amazon.a}]}
"""
WORLD = "  g: {targets: [{upstream: eu, model: global.amazon.a}]}\n"


def warnings(text: str) -> list[str]:
    """Give the warnings without file and line."""
    return [line.partition(": ")[2] for line in read(TEXT + text).warnings]


def test_a_target_in_no_residency_is_told() -> None:
    assert warnings("residency: {default: [eu-west-1]}") == [
        "models.u.targets[0]: warning: us-east-1 is in no residency: nobody can be sent there",
        "models.both.targets[1]: warning: us-east-1 is in no residency: nobody can be sent there",
    ]
    assert warnings("residency: {default: [eu-west-1], zones: {us: [us-east-1]}}") == []
    assert warnings("residency: {default: [eu-west-1]}\ntenants: {a: {residency: us-east-1}}") == []


def test_a_target_that_may_go_anywhere_needs_a_tenant_that_may() -> None:
    home = "residency: {default: [eu-west-1, us-east-1]}\n"
    [told] = warnings(WORLD + home)
    assert told.startswith("models.g.targets[0]: warning: may process anywhere, and no tenant has allow_global")
    assert warnings(f"{WORLD}{home}tenants: {{a: {{allow_global: true}}}}") == []


def test_a_tenant_that_can_use_none_of_a_model_s_targets_is_told() -> None:
    zones = f"{WORLD}residency: {{default: eu, zones: {{eu: [eu-west-1], us: [us-east-1]}}}}\n"
    tenants = """\
tenants:
  a: {models: [e, u, both, other]}
  b: {residency: us, models: [e, both]}
  c: {residency: us}
  d: {residency: ap-south-1, allow_global: true}
  w: {models: [g], allow_global: true}
"""
    told = [line for line in warnings(zones + tenants) if line.startswith("tenants")]
    assert told == [
        "tenants.a.models: warning: not in models, so nobody is offered it: other",
        "tenants.a: warning: a can use none of the targets of u",
        "tenants.b: warning: b can use none of the targets of e",
        "tenants.d: warning: d can use none of the targets of e, u, both, g",
    ]


def test_without_a_default_nothing_is_certain() -> None:
    assert warnings("residency: {zones: {eu: [eu-west-1]}}") == []
    assert warnings("tenants: {a: {residency: ap-south-1}}") == []


def test_thousands_of_tenants_and_targets_take_no_time() -> None:
    regions = [f"eu-west-{number}" for number in range(1, 50)]
    models = "".join(f"  m{n}: {{targets: [{{upstream: eu, model: amazon.a}}]}}\n" for n in range(900))
    tenants = "".join(f"  t{n}: {{residency: {flow(regions[: n % 40 + 1])}}}\n" for n in range(5000))
    document = read(f"{TEXT}{models}")
    begun_s = time.process_time()
    read(f"{TEXT}{models}residency: {{default: [eu-west-1]}}\ntenants:\n{tenants}")
    assert time.process_time() - begun_s < 20
    assert document.policy.models

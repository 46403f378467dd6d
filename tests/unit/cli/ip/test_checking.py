"""`sallyport ip check` judges as the door does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.access.decision import AccessLists
from sallyport.access.networks import NetworkSet, parse_address
from sallyport.access.source import Source
from sallyport.policy.effective import merge
from sallyport.policy.rules import AccessRules, DoorRules
from sallyport_cli.ip.checking import Caller, judge
from sallyport_cli.ip.rules import Sources
from sallyport_cli.ip.stack import stack_parameters
from sallyport_cli.policy.compiling import compile_policy
from sallyport_cli.policy.documents import read_document
from sallyport_cli.policy.ip_rules import IpEntry, IpRules

NETWORKS = st.lists(
    st.sampled_from(["192.0.2.0/24", "192.0.2.0/25", "192.0.2.1", "::ffff:192.0.2.200", "2001:db8::/32"]), max_size=2
)
ADDRESSES = st.sampled_from(["192.0.2.1", "192.0.2.130", "::ffff:192.0.2.1", "198.51.100.1", "2001:db8::1"])
COUNTRIES = st.lists(st.sampled_from(["DE", "FR"]), max_size=1)


def sources(document: str, ip: IpRules, **parameters: list[str]) -> Sources:
    texts = {name: ",".join(values) for name, values in parameters.items()}
    return Sources(texts, read_document(document, "policy.yaml", local=False) if document else None, ip)


def door_rules(judged: Sources) -> AccessRules:
    """Give the rules that the authorizer goes by, by its own code."""
    parameters = {name: [value for value in text.split(",") if value] for name, text in judged.parameters.items()}
    access = AccessRules(
        allow=(NetworkSet(parameters["IpAllowList"]).pack(),),
        deny=(NetworkSet(parameters["IpDenyList"]).pack(),),
        countries_allow=frozenset(parameters["CountryAllowList"]),
        countries_deny=frozenset(parameters["CountryDenyList"]),
    )
    compiled = json.loads(compile_policy(judged.document, judged.ip))
    return merge(DoorRules(0, True, (), (), access, {}, (), {}), compiled, 1).access


@given(
    has_document=st.booleans(),
    lists=st.tuples(*[NETWORKS] * 6),
    countries=st.tuples(*[COUNTRIES] * 4),
    address=ADDRESSES,
    country=st.sampled_from(["", "DE", "FR"]),
)
def test_it_agrees_with_the_door(
    has_document: bool,
    lists: tuple[list[str], ...],
    countries: tuple[list[str], ...],
    address: str,
    country: str,
) -> None:
    access = {"allow": lists[0], "deny": lists[1], "countries": {"allow": countries[0], "deny": countries[1]}}
    judged = sources(
        json.dumps({"version": 1, "access": access}) if has_document else "",
        IpRules(tuple(map(IpEntry, lists[2])), tuple(map(IpEntry, lists[3]))),
        IpAllowList=lists[4],
        IpDenyList=lists[5],
        CountryAllowList=countries[2],
        CountryDenyList=countries[3],
    )
    rules = door_rules(judged)
    door = AccessLists(
        [NetworkSet.unpack(packed) for packed in rules.allow],
        [NetworkSet.unpack(packed) for packed in rules.deny],
        rules.countries_allow,
        rules.countries_deny,
    )
    source = Source(address, *parse_address(address), country)
    refusal = door.refusal(source)
    last = judge(Caller(source.version, source.number, country), judged)[-1]
    assert last.code == (refusal.code if refusal else "")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("192.0.2.1", "global deny has 192.0.2.1 (policy document, line 4)"),
        ("192.0.2.2", "global deny has 192.0.2.0/24 (policy document, line 3)"),
        ("198.51.100.1", "tenant acme's deny has 198.51.100.1 (policy document, line 6)"),
        ("198.51.100.2", "tenant acme's allow is set and has no network with it (policy document)"),
        ("198.51.100.3", "key k's allow is set and has no network with it (key k)"),
    ],
)
def test_the_narrowest_rule_of_the_first_list_that_refuses_is_told(address: str, told: str) -> None:
    text = (
        "version: 1\naccess:\n  deny: [192.0.2.0/24,\n    192.0.2.1]\n"
        "tenants: {acme: {allow: [198.51.100.1, 198.51.100.3],\n  deny: [198.51.100.1]}}\n"
    )
    caller = Caller(*parse_address(address), tenant="acme", key_id="k", key_allow=("198.51.100.4",))
    last = judge(caller, sources(text, IpRules()))[-1]
    assert f"{last.list_name} {last.reason}" == told


class CloudFormation:
    """Tells of one stack."""

    def __init__(self, deny: str = "192.0.2.1") -> None:
        self._parameters = {"IpDenyList": deny, "LogLevel": "INFO", "CountryDenyList": ""}

    def describe_stacks(self, **request: str) -> object:
        assert request == {"StackName": "sallyport"}
        listed = [{"ParameterKey": name, "ParameterValue": value} for name, value in self._parameters.items()]
        return {"Stacks": [{"Parameters": listed}]}


def test_parameters_come_from_the_stack() -> None:
    assert stack_parameters(CloudFormation(), "sallyport") == {"IpDenyList": "192.0.2.1", "CountryDenyList": ""}


def test_a_parameter_that_the_functions_couldn_t_read_is_named() -> None:
    with pytest.raises(ValueError, match=r"^IpDenyList: '10\.0\.0\.1/8': has bits set"):
        stack_parameters(CloudFormation("10.0.0.1/8"), "sallyport")

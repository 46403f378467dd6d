"""Which counters a rule has."""

from collections.abc import Mapping

import pytest

from sallyport.policy.limit_rules import ROUTES, LimitMatch, LimitRule, ModelRules, RouterRules, Window
from sallyport_cli.limits.callers import Caller, Part, caller_with_token
from sallyport_cli.limits.counted import Answer, Question, counters_of
from sallyport_cli.limits.parameters import check_parameters, rules_of
from sallyport_cli.limits.resets import narrowest, to_reset

MINUTE = Window(60)
KEYS = [Caller({"key": Part(key, key), "subject": Part("acme ann", "ann")}) for key in ("k1", "k2")]


def rule(*scope: str, match: LimitMatch | None = None) -> LimitRule:
    return LimitRule("+".join(scope), scope, "requests", 9, MINUTE, match or LimitMatch())


def ask(*rules: LimitRule, callers: list[Caller] | None = None, **more: object) -> Answer:
    models = {"gpt-4o": ModelRules(), "o3": ModelRules()}
    question = Question(RouterRules(1, rules, {}, models), "acme", KEYS if callers is None else callers)
    fields: Mapping[str, object] = {**question.__dict__, **more}
    return counters_of(Question(**fields))  # type: ignore[arg-type]


def members(answer: Answer) -> list[str]:
    return [counted.member for counted in answer.counted]


def test_a_rule_has_a_counter_for_each_member_that_is_known_the_widest_first() -> None:
    answer = ask(rule("key"), rule("tenant", "model"), rule("tenant"), rule("route"), rule("global"))
    assert members(answer) == [
        "global",
        *(f"route#{route}" for route in ROUTES),
        "tenant#acme",
        "tenant+model#acme#gpt-4o",
        "tenant+model#acme#o3",
        "key#k1",
        "key#k2",
    ]
    assert [counted.shown for counted in answer.counted][:2] == ["everyone", "route chat_completions"]


def test_a_rule_s_match_narrows_its_members() -> None:
    rules = (
        rule("model", match=LimitMatch(models=("o3",))),
        rule("route", match=LimitMatch(routes=("embeddings",))),
        rule("tenant", match=LimitMatch(tenants=("other",))),
    )
    assert members(ask(*rules)) == ["route#embeddings", "model#o3"]
    assert members(ask(*rules, model="gpt-4o")) == ["route#embeddings"]
    assert members(ask(rule("model"), model="gpt-5")) == ["model#gpt-5"]


def test_what_nobody_named_is_said() -> None:
    answer = ask(rule("ip"), rule("subject"), rule("tenant"), callers=[])
    assert (members(answer), answer.unknown) == (["tenant#acme"], {"ip": "ip", "subject": "subject"})
    assert members(ask(rule("ip"), ip=Part("192.0.2.1", "192.0.2.1"))) == ["ip#192.0.2.1"]


def test_a_subject_stands_as_a_digest_alone() -> None:
    (by_subject, by_key) = ask(rule("key"), rule("subject"), callers=[caller_with_token("acme", "ann")]).counted
    assert by_subject.member.startswith("subject#~")
    assert by_key.member.startswith("key#~")
    assert (by_subject.shown, by_key.shown) == ("subject ann", "key ann (JWT)")


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        (["tenant"], ["tenant#acme", "tenant+model#acme#o3"]),
        (["key", "tenant"], ["key#k1"]),
        (["tenant", "model"], ["tenant#acme", "tenant+model#acme#o3"]),
        (["model"], ["model#o3"]),
        (["ip"], ["ip#192.0.2.1"]),
    ],
)
def test_a_reset_is_about_the_narrowest_that_was_named(named: list[str], wanted: list[str]) -> None:
    rules = (rule("key"), rule("ip"), rule("tenant"), rule("tenant", "model"), rule("model"), rule("global"))
    answer = ask(*rules, callers=KEYS[:1], ip=Part("192.0.2.1", "192.0.2.1"), model="o3")
    assert [member.name for member in to_reset(answer.counted, narrowest(named))] == wanted


def test_parameters_are_the_template_s() -> None:
    assert [(rule.name, rule.limit) for rule in rules_of({}).limits] == [("key-requests-1m", 60)]
    told = {"TenantTokensPerMinute": "5", "ConcurrentRequests": "4", "Models": "gpt-4o, o3"}
    rules = rules_of(told)
    assert {rule.name: rule.limit for rule in rules.limits} == {
        "key-requests-1m": 60,
        "tenant-tokens-1m": 5,
        "key-concurrent": 4,
    }
    assert set(rules.models or ()) == {"gpt-4o", "o3"}


@pytest.mark.parametrize(
    "broken", [{"Nonsense": "1"}, {"RequestsPerMinute": "-1"}, {"TokensPerMinute": "٣"}, {"ConcurrentRequests": "51"}]
)
def test_broken_parameters_are_refused(broken: Mapping[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(broken))):
        check_parameters(broken)

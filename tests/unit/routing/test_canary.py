"""Which canary is for a request, which arm it takes, and why it doesn't take the other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.policy.canary_rules import (
    CANARY,
    FULL_WEIGHT,
    PAUSED,
    PROMOTED,
    ROLLED_BACK,
    RUNNING,
    STABLE,
    STOPPED,
    CanaryMatch,
    CanaryRules,
    CanaryState,
    CanaryStates,
    CanaryStep,
)
from sallyport.policy.canary_states import derived_key, with_state
from sallyport.policy.upstream_rules import Target
from sallyport.routing.canary import (
    CANARY_HEADER,
    STATE_UNKNOWN,
    Assignment,
    CanaryCaller,
    Unit,
    assign,
    effective_weight,
    initial_state,
    is_for,
    key_of,
    override_note,
    run_in_force,
    run_of,
    state_of,
    stored_state,
    unit_of,
)

ALICE = CanaryCaller("chat_completions", "acme", "alice", "gpt-4o", region="eu-central-1")
TESTER = ALICE._replace(may_override=True)
NOW_S, STACK = 1_000_000, "prod"
UNTOUCHED = CanaryStates()


def canary(name: str = "next", *, weight: int = FULL_WEIGHT, **changes: Any) -> CanaryRules:
    rules = CanaryRules(name, ("gpt-4o",), (), (), Target("eu", "gpt-next", ("eu-west-1",)), {}, (CanaryStep(weight),))
    return rules._replace(**changes)


def chosen(caller: CanaryCaller, *canaries: CanaryRules, states: CanaryStates | None = UNTOUCHED) -> Assignment:
    found = assign(canaries, states, caller, NOW_S, STACK)
    assert found is not None
    return found


def asking(text: str, caller: CanaryCaller = TESTER) -> CanaryCaller:
    return caller._replace(headers={CANARY_HEADER: text})


def state(phase: str = RUNNING, step: int = 0, weight: int | None = None, since_s: int = NOW_S) -> CanaryState:
    return CanaryState(phase, step, since_s, "7-00000000", weight)


def test_a_canary_of_another_model_route_or_app_is_not_for_the_request() -> None:
    assert is_for(canary(), ALICE)
    assert not is_for(canary(models=("gpt-5",)), ALICE)
    assert is_for(canary(models=(), routes=("chat_completions",)), ALICE)
    assert not is_for(canary(models=(), routes=("responses",)), ALICE)
    app = CanaryCaller("app", "acme", "alice", app="summarizer")
    assert is_for(canary(models=(), apps=("summarizer",)), app)
    assert not is_for(canary(models=(), apps=("other",)), app)
    assert not is_for(canary(models=(), apps=("summarizer",)), ALICE)


@pytest.mark.parametrize(
    ("match", "fitting", "other"),
    [
        ({"tenants": ("acme",)}, {}, {"tenant": "globex"}),
        ({"regions": ("eu-central-1",)}, {}, {"region": "us-east-1"}),
        ({"countries": ("DE", "AT")}, {"country": "AT"}, {"country": ""}),
        ({"claims": (("plan", "beta"),)}, {"claims": (("plan", "beta"),)}, {"claims": (("plan", "Beta"),)}),
        ({"headers": (("x-beta", "1"),)}, {"headers": {"x-beta": "1"}}, {"headers": {"x-beta": "10"}}),
        ({"headers": (("x-beta", "1"),)}, {"headers": {"x-beta": "1"}}, {}),
        (
            {"headers": (("x-beta", "1"),)},
            {"headers": {"x-beta": "1", "x-other": "2"}},
            {"headers": {"x-beta": "1, 1"}},
        ),
        ({"claims": (("beta", "true"),)}, {"claims": (("beta", "true"),)}, {"claims": (("beta", "True"),)}),
        (
            {"claims": (("plan", "beta"),)},
            {"claims": (("plan", "beta"), ("team", "ml"))},
            {"claims": (("team", "beta"),)},
        ),
        ({"tenants": ("globex", "acme")}, {}, {"tenant": "Acme"}),
        ({"regions": ("us-east-1", "eu-central-1")}, {}, {"region": ""}),
        ({"countries": ("DE",)}, {"country": "DE"}, {"country": "AT"}),
    ],
)
def test_a_match_rule_that_says_something_must_be_met(
    match: dict[str, Any], fitting: dict[str, Any], other: dict[str, Any]
) -> None:
    rules = canary(match=CanaryMatch(**match))
    assert is_for(rules, ALICE._replace(**fitting))
    assert not is_for(rules, ALICE._replace(**other))


def test_all_of_several_match_rules_must_be_met() -> None:
    rules = canary(match=CanaryMatch(claims=(("plan", "beta"), ("team", "ml")), tenants=("acme",)))
    assert is_for(rules, ALICE._replace(claims=(("team", "ml"), ("plan", "beta"))))
    assert not is_for(rules, ALICE._replace(claims=(("plan", "beta"),)))


def test_where_no_canary_is_for_a_request_there_is_no_arm() -> None:
    assert assign([canary(models=("gpt-5",))], CanaryStates(), ALICE, NOW_S, STACK) is None
    assert assign([], CanaryStates(), ALICE, NOW_S, STACK) is None


def test_the_first_canary_that_is_for_a_request_decides_also_at_weight_0() -> None:
    skipped, first, second = canary("skipped", models=("gpt-5",)), canary("first", weight=0), canary("second")
    found = chosen(ALICE, skipped, first, second)
    assert (found.rules.name, found.arm, found.header) == ("first", STABLE, "first=stable")


@pytest.mark.parametrize(
    ("sticky_by", "changes", "unit"),
    [
        ("subject", {}, Unit("subject", "acme alice")),
        ("tenant", {}, Unit("tenant", "acme")),
        ("key", {"key": "k1"}, Unit("key", "k1")),
        ("key", {}, Unit("subject", "acme alice")),
        ("header:x-session", {"headers": {"x-session": " s1 "}}, Unit("header:x-session", "s1")),
        ("header:X-Session", {"headers": {"x-session": "s1"}}, Unit("header:X-Session", "s1")),
        ("header:x-session", {"headers": {"x-session": " "}}, Unit("subject", "acme alice")),
        ("header:x-session", {}, Unit("subject", "acme alice")),
        ("cookie:sid", {"headers": {"cookie": "a=1; sid=s=2; sid=s3"}}, Unit("cookie:sid", "s=2")),
        ("cookie:sid", {"headers": {"cookie": "a=1; xsid=2;sid"}}, Unit("subject", "acme alice")),
        ("cookie:sid", {}, Unit("subject", "acme alice")),
        ("cookie:sid", {"headers": {"cookie": ";;; sid=s1 ;"}}, Unit("cookie:sid", "s1")),
        ("cookie:sid", {"headers": {"cookie": "sid=s1;sid2=s2"}}, Unit("cookie:sid", "s1")),
        ("cookie:sid", {"headers": {"cookie": "SID=s1; Sid=s2"}}, Unit("subject", "acme alice")),
        ("cookie:sid", {"headers": {"cookie": "sid=; sid=s2"}}, Unit("subject", "acme alice")),
        ("cookie:sid", {"headers": {"cookie": 'sid="s 1"'}}, Unit("cookie:sid", '"s 1"')),
        ("cookie:__Host-sid", {"headers": {"cookie": "sid=s2; __Host-sid=s1"}}, Unit("cookie:__Host-sid", "s1")),
        ("cookie:sid", {"key": "k1"}, Unit("subject", "acme alice")),
        ("key", {"key": "k1", "headers": {"x-session": "s1"}}, Unit("key", "k1")),
        ("header:x-session", {"headers": {"x-session-id": "s1"}}, Unit("subject", "acme alice")),
    ],
)
def test_a_request_s_unit_is_the_canary_s_or_else_the_subject(
    sticky_by: str, changes: dict[str, Any], unit: Unit
) -> None:
    assert unit_of(canary(sticky_by=sticky_by), ALICE._replace(**changes)) == unit


def test_two_subjects_of_one_name_in_two_tenants_are_two_units() -> None:
    assert unit_of(canary(), ALICE) != unit_of(canary(), ALICE._replace(tenant="globex"))


@pytest.mark.parametrize(
    ("phase", "weight", "expected"),
    [
        (RUNNING, None, 1000),
        (PAUSED, None, 1000),
        (RUNNING, 42, 42),
        (PAUSED, 42, 42),
        (RUNNING, 0, 0),
        (PROMOTED, 42, FULL_WEIGHT),
        (ROLLED_BACK, 42, 0),
        (STOPPED, None, 0),
    ],
)
def test_the_phase_and_then_the_set_weight_count_before_the_step_s(
    phase: str, weight: int | None, expected: int
) -> None:
    rules = canary(steps=(CanaryStep(100, 600), CanaryStep(1000, 600)))
    assert effective_weight(rules, state(phase, 1, weight), NOW_S + 10_000) == expected


def test_a_step_that_the_policy_has_no_more_is_the_last_one() -> None:
    assert effective_weight(canary(weight=300), state(step=7), NOW_S) == 300
    assert effective_weight(canary(steps=()), state(), NOW_S) == 0


@pytest.mark.parametrize(
    ("after_s", "weight"), [(-5, 100), (0, 100), (599, 100), (600, 1000), (1799, 1000), (1800, 5000), (10**9, 5000)]
)
def test_without_a_guard_steps_follow_the_clock_until_one_that_holds(after_s: int, weight: int) -> None:
    steps = (CanaryStep(100, 600), CanaryStep(1000, 1200), CanaryStep(5000), CanaryStep(FULL_WEIGHT))
    rules = canary(steps=steps, guard=None)
    assert effective_weight(rules, state(), NOW_S + after_s) == weight
    assert effective_weight(canary(steps=steps), state(), NOW_S + after_s) == 100, "the guard alone goes on"
    assert effective_weight(rules, state(PAUSED), NOW_S + after_s) == 100
    assert effective_weight(rules, state(since_s=0), NOW_S + after_s) == 100, "nobody knows since when"


def test_the_clock_goes_on_from_the_step_of_the_state() -> None:
    rules = canary(steps=(CanaryStep(100, 600), CanaryStep(1000, 1200), CanaryStep(5000)), guard=None)
    assert effective_weight(rules, state(step=1), NOW_S + 1199) == 1000
    assert effective_weight(rules, state(step=1), NOW_S + 1200) == 5000


def test_a_canary_without_a_state_runs_unless_it_waits_for_the_command() -> None:
    assert state_of(canary(), CanaryStates()).phase == RUNNING
    assert chosen(ALICE, canary()).arm == CANARY
    assert state_of(canary(starts=False), CanaryStates()).phase == STOPPED
    assert chosen(ALICE, canary(starts=False)).arm == STABLE
    assert initial_state(canary(), NOW_S).since_s == NOW_S


def test_a_rollback_stays_by_name_whatever_the_document_becomes() -> None:
    states = CanaryStates(3, "ab" * 32, {"next": state(ROLLED_BACK)})
    changed = canary(parameters={"temperature": 0}, target=None, steps=(CanaryStep(100, 600), CanaryStep(FULL_WEIGHT)))
    assert chosen(ALICE, changed, states=states).arm == STABLE
    assert chosen(ALICE, canary("renamed"), states=states).arm == CANARY


def test_while_the_states_are_unknown_nobody_is_on_a_canary_and_nothing_is_counted() -> None:
    found = chosen(ALICE, canary(), states=None)
    assert (found.arm, found.note, found.is_counted) == (STABLE, STATE_UNKNOWN, False)


@pytest.mark.parametrize("text", ["next", "next=canary", " next "])
def test_who_may_chooses_the_canary_at_any_weight(text: str) -> None:
    found = chosen(asking(text), canary("first"), canary(weight=0))
    assert (found.rules.name, found.arm, found.is_forced, found.is_counted) == ("next", CANARY, True, False)
    assert override_note(asking(text), found) == "heeded"


def test_who_may_chooses_the_stable_arm() -> None:
    found = chosen(asking("next=stable"), canary())
    assert (found.arm, found.is_forced, found.is_counted) == (STABLE, True, False)


@pytest.mark.parametrize("text", ["", "other", "next=both", "next=", "=canary", "next=stable=x", "NEXT"])
def test_a_choice_that_names_no_arm_of_a_canary_for_the_request_is_ignored(text: str) -> None:
    caller = asking(text)
    found = chosen(caller, canary(weight=0))
    assert (found.arm, found.is_forced, override_note(caller, found)) == (STABLE, False, "ignored")


def test_a_choice_of_one_who_may_not_choose_is_ignored() -> None:
    caller = asking("next", ALICE)
    found = chosen(caller, canary(weight=0))
    assert (found.arm, found.is_forced, override_note(caller, found)) == (STABLE, False, "ignored")
    assert override_note(caller, None) == "ignored"
    assert override_note(ALICE, found) is None


def test_a_choice_passes_over_who_sees_it_first_but_not_over_tenants_regions_and_kinds() -> None:
    caller = asking("next")
    chosen_users = canary(match=CanaryMatch(countries=("DE",), claims=(("plan", "beta"),), headers=(("x-beta", "1"),)))
    assert chosen(caller, chosen_users).arm == CANARY
    for match in (CanaryMatch(tenants=("globex",)), CanaryMatch(regions=("us-east-1",))):
        assert assign([canary(match=match)], CanaryStates(), caller, NOW_S, STACK) is None
    assert assign([canary(models=("gpt-5",))], CanaryStates(), caller, NOW_S, STACK) is None


def test_an_arm_that_is_not_offered_is_stable_and_uncounted_on_either_side() -> None:
    for rules in (canary(weight=FULL_WEIGHT - 1), canary(weight=1)):
        found = chosen(ALICE, rules)
        assert found.is_counted
        instead = found.not_offered("outside_residency")
        assert (instead.arm, instead.note, instead.is_counted) == (STABLE, "outside_residency", False)
        assert instead.header == "next=stable"


@pytest.mark.parametrize("weight", [0, FULL_WEIGHT])
def test_where_all_are_on_one_arm_there_is_nothing_to_compare(weight: int) -> None:
    assert not chosen(ALICE, canary(weight=weight)).is_counted


def test_a_promotion_is_not_that_of_another_target_and_a_rollback_is() -> None:
    rules = canary(weight=100)
    promoted, rolled_back = (CanaryState(phase, 0, 1, "") for phase in (PROMOTED, ROLLED_BACK))
    states = CanaryStates(1, "0f" * 32, {"next": promoted._replace(run=run_of(rules, promoted, 1))})
    other = rules._replace(parameters={"temperature": 2})
    assert chosen(ALICE, rules, states=states).arm == CANARY
    assert stored_state(other, states) is None
    assert state_of(other, states) == initial_state(other, 0)
    gone = states._replace(states={"next": rolled_back._replace(run=run_of(rules, rolled_back, 1))})
    assert stored_state(other, gone) == gone.states["next"]


def test_the_key_is_the_stored_one_or_the_stack_s_own() -> None:
    assert key_of(CanaryStates(1, "0f" * 32), STACK) == b"\x0f" * 32
    assert key_of(CanaryStates(), STACK).hex() == derived_key(STACK) != derived_key("other")


def test_the_first_stored_state_moves_nobody() -> None:
    callers = [ALICE._replace(subject=str(number)) for number in range(500)]
    rules = canary(weight=5000)
    before = [chosen(caller, rules).arm for caller in callers]
    stored = with_state(CanaryStates(), "next", state(), STACK)
    assert [chosen(caller, rules, states=stored).arm for caller in callers] == before


def test_a_run_changes_with_version_target_parameters_and_weight() -> None:
    rules = canary(steps=(CanaryStep(100, 600), CanaryStep(1000, 600)))
    runs = {
        run_of(rules, state(), 7),
        run_of(rules, state(), 8),
        run_of(rules, state(step=1), 7),
        run_of(rules, state(weight=42), 7),
        run_of(rules, state(ROLLED_BACK), 7),
        run_of(rules._replace(target=None), state(), 7),
        run_of(rules._replace(target=Target("eu", "gpt-other", ("eu-west-1",))), state(), 7),
        run_of(rules._replace(parameters={"temperature": 0.2}), state(), 7),
        run_of(rules._replace(name="other"), state(), 7),
    }
    assert len(runs) == 9
    assert all(run.startswith(("7-", "8-")) and len(run) == 10 for run in runs)
    assert run_of(rules._replace(sticky_by="tenant"), state(), 7) == run_of(rules, state(), 7)


def test_a_stored_run_is_in_force_until_the_canary_itself_changes() -> None:
    rules = canary(steps=(CanaryStep(100, 600), CanaryStep(1000, 600)))
    stored = state()._replace(run=run_of(rules, state(), 7))
    assert run_in_force(rules, stored, NOW_S + 10_000) == stored.run
    changed = run_in_force(rules._replace(parameters={"temperature": 0}), stored, NOW_S)
    assert changed.startswith("7-")
    assert changed != stored.run
    assert run_in_force(rules._replace(guard=None), stored, NOW_S + 600) != stored.run, "the clock has gone on"
    assert run_in_force(rules, initial_state(rules, 0), NOW_S).startswith("0-")


def test_an_outcome_is_counted_under_its_run_and_the_unit_s_bucket() -> None:
    states = CanaryStates(3, "ab" * 32, {"next": state()})
    found = chosen(ALICE, canary(), states=states)
    assert found.run == run_in_force(canary(), state(), NOW_S)
    assert 0 <= found.bucket < 128
    assert found.unit == Unit("subject", "acme alice")


@given(text=st.text(max_size=40), cookie=st.text(max_size=40), may=st.booleans())
def test_whatever_a_client_sends_it_gets_an_arm(text: str, cookie: str, may: bool) -> None:
    caller = ALICE._replace(headers={CANARY_HEADER: text, "cookie": cookie, "x-session": text}, may_override=may)
    for sticky_by in ("header:x-session", "cookie:sid"):
        assert chosen(caller, canary(sticky_by=sticky_by, weight=5000)).arm in {STABLE, CANARY}


def test_a_lone_surrogate_in_a_header_has_an_arm_too() -> None:
    caller = ALICE._replace(headers={"x-session": "\ud800"})
    assert chosen(caller, canary(sticky_by="header:x-session")).arm == CANARY

"""A bad canary goes by itself and stays out, a good one comes to the end of its ramp: real SDKs, a local stack."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random

import anthropic
import openai
import pytest

from sallyport.policy.canary_rules import CanaryState
from sallyport.policy.canary_states import Change, StateConflictError, with_state
from tests.e2e.canary_scene import (
    CANARY,
    DEADLINE_S,
    MESSAGES,
    STABLE,
    Answer,
    Echo,
    Gateway,
    are_all,
    arm_of,
    arms,
    end,
    local_stack,
    ready_url,
    start,
)
from tests.e2e.sdk_clients import key_with
from tests.support.aws import ROOT

pytestmark = pytest.mark.e2e

EXAMPLE = (ROOT / "examples" / "canary" / "policy.yaml").read_text()
BEGUN = CanaryState("running", 0, 0, "")
USERS = [f"user-{number}" for number in range(60)]


class Scene:
    """The tutorial's scene, with tables that outlive the gateway."""

    def __init__(self, directory: Path, cleanup: ExitStack) -> None:
        self.old = cleanup.enter_context(Echo())
        self.new = cleanup.enter_context(Echo("--fail-every", "3"))
        self.policy = directory / "policy.yaml"
        self.write_policy(EXAMPLE)
        self._log = directory / "functions.log"
        self._aws = start(["sallyport_cli.local.moto_process"])
        cleanup.callback(end, self._aws)
        self._endpoint = ready_url(self._aws)
        self._running = cleanup.enter_context(ExitStack())
        self.start()

    def write_policy(self, text: str) -> None:
        self.policy.write_text(text.replace(":9001", f":{self.old.port}").replace(":9002", f":{self.new.port}"))

    def start(self) -> None:
        options = ("--policy", str(self.policy), "--parameter", "UpstreamRetries=0")
        self.gateway = local_stack(self._running, self._log, *options, AWS_ENDPOINT_URL=self._endpoint)

    def restart(self) -> None:
        """Restart the gateway beside its tables."""
        self._running.close()
        self.start()

    def let_pass(self, seconds: int) -> None:
        """Have the canary's step have begun so much earlier."""
        table = self.gateway.states
        for _ in range(10):
            before = table.read()
            state = before.states["next"]
            after = with_state(before, "next", state._replace(since_s=state.since_s - seconds), "sallyport")
            try:
                table.write(before, after, Change(int(time.time()), "test", "set", "next"))
            except StateConflictError:
                continue
            return
        raise AssertionError("somebody else writes all the time")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ExitStack() as cleanup:
        yield Scene(tmp_path_factory.mktemp("canary"), cleanup)


def in_phase(gateway: Gateway, wanted: str) -> Callable[[list[Answer]], bool]:
    return lambda _: gateway.state().phase == wanted


def on_canary(answers: list[Answer]) -> set[str]:
    return {user for user, taken in arms(answers).items() if CANARY in taken}


def has_both_arms(answers: list[Answer]) -> bool:
    return {answer.arm for answer in answers} == {STABLE, CANARY} and not any(answer.is_error for answer in answers)


def wait_for(reached: Callable[[], bool], gateway: Gateway) -> None:
    """Wait without a sleep: by asking the gateway."""
    gateway.rounds_until(USERS[:2], lambda _: reached())


def test_a_failing_canary_goes_by_itself_and_stays_out(scene: Scene) -> None:
    gateway = scene.gateway
    assert are_all(STABLE)(gateway.round(USERS))
    gateway.canary("start", "next", "--note", "the new echo")
    answers = gateway.rounds_until(USERS, in_phase(gateway, "rolled_back"))
    failed = [answer for answer in answers if answer.is_error]
    assert failed
    assert {(answer.arm, answer.status) for answer in failed} == {(CANARY, 502)}
    assert 3 <= len(on_canary(answers)) <= 25  # 12 are expected; the key is the stack's, so it's always the same ones
    gateway.settle(USERS, are_all(STABLE))

    runs = gateway.guard_runs()
    scene.write_policy(EXAMPLE.replace("weight: 20, hold: 1m", "weight: 30, hold: 2m"))
    wait_for(lambda: gateway.guard_runs() >= runs + 4 and "version 2 in force" in gateway.stack.printed, gateway)
    assert are_all(STABLE)(gateway.settle(USERS, are_all(STABLE)))
    scene.write_policy(EXAMPLE)
    wait_for(lambda: "version 3 in force" in gateway.stack.printed, gateway)

    scene.restart()
    gateway, runs = scene.gateway, scene.gateway.guard_runs()
    wait_for(lambda: gateway.guard_runs() >= runs + 2, gateway)
    assert are_all(STABLE)(gateway.round(USERS))

    found = gateway.told("status", "next")
    assert (found["phase"], found["weight"], found["by"]) == ("rolled_back", 0.0, "guard")
    assert found["arms"][CANARY]["failed"] >= len(failed) > 0 == found["arms"][STABLE]["failed"]
    assert found["reason"].startswith("errors: ")
    assert [row["phase"] for row in gateway.told("list")] == ["rolled_back"]
    changes = [(row["by"] == "guard", row["what"], row["after"]["phase"]) for row in gateway.told("history")]
    assert changes == [(True, "guard", "rolled_back"), (False, "start", "running")]


def test_a_mended_canary_is_resumed_and_comes_to_its_end(scene: Scene) -> None:
    gateway = scene.gateway
    refused = gateway.sallyport("canary", "promote", "next")
    assert (refused.returncode, "`resume` or `start` begins it again" in refused.stderr) == (1, True)
    scene.new.restart()
    gateway.canary("resume", "next", "--note", "mended")
    first = on_canary(gateway.settle(USERS, has_both_arms))
    scene.let_pass(60)
    gateway.rounds_until(USERS, lambda _: gateway.state().step == 1)
    second = on_canary(gateway.settle(USERS, lambda found: len(on_canary(found)) > len(first)))
    assert first < second
    scene.let_pass(60)
    gateway.rounds_until(USERS, in_phase(gateway, "promoted"))
    gateway.settle(USERS, are_all(CANARY))


def test_operators_have_the_last_word(scene: Scene) -> None:
    gateway = scene.gateway
    gateway.canary("set", "next", "--weight", "100")
    gateway.settle(USERS, are_all(CANARY))
    gateway.canary("set", "next", "--step", "1")
    few = on_canary(gateway.settle(USERS, has_both_arms))
    gateway.canary("pause", "next", "--note", "lunch")
    scene.new.restart("--fail-every", "1")
    runs = gateway.guard_runs()
    answers = gateway.rounds_until(USERS, lambda _: gateway.guard_runs() >= runs + 4)
    assert set() < on_canary(answers) <= few
    assert gateway.state().phase == "paused"
    scene.new.restart()
    gateway.canary("abort", "next")
    gateway.settle(USERS, are_all(STABLE))
    assert [row["what"] for row in gateway.told("history", "next", "--limit", "4")] == ["abort", "pause", "set", "set"]


def test_a_caller_with_the_scope_chooses_its_arm(scene: Scene) -> None:
    gateway = scene.gateway
    chosen = {"x-sallyport-canary": "next"}
    gateway.rounds_until(USERS[:4], are_all(CANARY), **chosen)  # its breaker may be open from what it failed before
    assert are_all(STABLE)(gateway.round(USERS[:4]))
    without = key_with(gateway.stack, tenant="demo", scopes="chat")
    ignored = gateway.round(USERS[:4], key=without, **chosen)
    assert {answer.arm for answer in ignored} == {STABLE}


def openai_asks(client: openai.OpenAI, key: str) -> Answer:
    create = client.with_options(api_key=key).chat.completions.with_raw_response.create
    try:
        raw = create(model="echo", messages=MESSAGES)
    except openai.APIStatusError as error:
        return Answer(key, arm_of(error.response.headers), error.status_code)
    return Answer(key, arm_of(raw.headers), raw.http_response.status_code)


def anthropic_asks(client: anthropic.Anthropic, key: str) -> Answer:
    create = client.with_options(api_key=key).messages.with_raw_response.create
    try:
        raw = create(model="claude-sonnet", messages=MESSAGES, max_tokens=9)
    except anthropic.APIStatusError as error:
        return Answer(key, arm_of(error.response.headers), error.status_code)
    return Answer(key, arm_of(raw.headers), raw.http_response.status_code)


def asker(provider: str, gateway: Gateway, cleanup: ExitStack) -> Callable[[str], Answer]:
    """Give what asks by a key."""
    if provider == "openai":
        return partial(openai_asks, gateway.openai)
    client = anthropic.Anthropic(base_url=gateway.stack.url, api_key="none", max_retries=0, timeout=DEADLINE_S)
    return partial(anthropic_asks, cleanup.enter_context(client))


def subjects_stack(directory: Path, cleanup: ExitStack, provider: str, new: Echo) -> Gateway:
    path = "/v1" if provider == "openai" else ""
    told = {
        "UpstreamProvider": provider,
        "UpstreamRetries": "0",
        "RequestsPerMinute": "100000",
        "CanaryWeight": "50",
        "CanaryUpstreamBaseUrl": f"http://127.0.0.1:{new.port}{path}",
    }
    options = [part for name, value in told.items() for part in ("--parameter", f"{name}={value}")]
    return local_stack(cleanup, directory / "functions.log", *options)


@pytest.mark.parametrize(
    ("provider", "fault"),
    [("openai", ("--fail-every", "3")), ("anthropic", ("--status", "500"))],
    ids=["openai-some-fail", "anthropic-all-fail"],
)
def test_a_canary_of_parameters_alone_goes_by_itself_too(provider: str, fault: tuple[str, ...], tmp_path: Path) -> None:
    """Where all fail, the target's circuit breaker opens: its callers get the stable arm, and the guard still knows."""
    with ExitStack() as cleanup:
        new = cleanup.enter_context(Echo(*fault))
        gateway = subjects_stack(tmp_path, cleanup, provider, new)
        told = (f"CanaryUpstreamBaseUrl=http://127.0.0.1:{new.port}", "CanaryWeight=50", f"UpstreamProvider={provider}")
        given = [part for one in told for part in ("--parameter", one)]
        keys = [key_with(gateway.stack, subject=f"subject-{number}") for number in range(80)]
        ask = asker(provider, gateway, cleanup)

        def ask_all() -> list[Answer]:
            with ThreadPoolExecutor(4) as pool:
                return list(pool.map(ask, Random(len(answers)).sample(keys, len(keys))))  # noqa: S311 - no secret

        deadline, answers = time.monotonic() + DEADLINE_S, list[Answer]()
        while gateway.states.read().states.get("parameters", BEGUN).phase != "rolled_back":
            assert time.monotonic() < deadline, gateway.canary("status", *given)
            answers += ask_all()
        assert gateway.told("status", "parameters", *given)["by"] == "guard"
        assert {(answer.arm, answer.status) for answer in answers if answer.is_error} == {(CANARY, 502)}
        while not are_all(STABLE)(found := ask_all()):
            assert time.monotonic() < deadline, found

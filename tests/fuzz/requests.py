"""Requests that are changed by chance, through the whole route: never a failure of ours, never an unchecked forward.

What goes upstream is judged by others: read by the slow grammar, and held to the route's schema by python-jsonschema.
"""

import json
from collections import Counter
from random import Random
from typing import Any

import jsonschema

from sallyport.policy.verification_rules import (
    BLOCK,
    IGNORE,
    REDACT,
    REFUSE,
    REPORT,
    REQUESTS,
    STRIP,
    LeakRules,
    PromptRules,
    RequestRules,
    VerificationRules,
)
from sallyport.verification.schema import read_built_in
from tests.contract.test_request_schemas import GOOD
from tests.fuzz.mutations import Mutator
from tests.fuzz.scene import JSON, PATHS, Answered, Scene, Told
from tests.support.json_grammar import read

SECRET = "zebra-lantern-42"
"""Stands in every prompt, and in nothing that the gateway says."""

PLACES = (
    ("chat_completions", "openai"),
    ("chat_completions", "anthropic"),
    ("responses", "openai"),
    ("embeddings", "openai"),
    ("messages", "anthropic"),
    ("count_tokens", "anthropic"),
)
FORMS = {"chat_completions", "responses", "embeddings", "messages", "count_tokens"}
_ADDED = {"store", "stream_options"}
"""Fields that the gateway may set of its own accord, which is written in docs/providers.md."""
_CAPS = {"max_tokens", "max_completion_tokens", "max_output_tokens"}
MAX_SLOW_CHARS = 60_000
_CONTENT_TYPES = (JSON,) * 60 + (
    "application/json; charset=utf-8",
    "text/plain",
    "",
    "application/json; charset=latin-1",
)
_ENCODINGS: tuple[str | None, ...] = (None,) * 60 + ("identity", "gzip", "br", "identity, gzip")

RULES = (
    RequestRules(),
    RequestRules(unknown_fields=STRIP),
    RequestRules(unknown_fields=REFUSE, max_messages=20, max_images=1, max_tools=3, max_prompt_bytes=10_000),
    RequestRules(
        max_output_tokens=50, forbidden=("logit_bias",), forced={"temperature": 0}, schemas=({"maxProperties": 9},)
    ),
)


LEAKS = LeakRules("planted", ("credentials", "email"), (), (SECRET,), REDACT, (REQUESTS,))
PROMPTS = (
    PromptRules("words", ("user", "system"), ("(?i)f[o0]rbidden",), (), ("control", "bidi"), 50, BLOCK),
    PromptRules("said", ("user",), (), ("[a-z]",), (), None, REPORT),
)


class UnsoundError(Exception):
    """The gateway did what it never may."""


class Requests:
    """Asks every route in turn."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.mutator = Mutator(chance)
        self.scenes = [_scene(place, rules) for place in PLACES for rules in RULES]
        self.scenes += [_scene(place, RULES[0], is_guarded=True) for place in PLACES]
        self.seeds = {route: [_with_secret(body) for name, body in GOOD if name == route] for route in FORMS}
        self.judges = {route: jsonschema.Draft202012Validator(read_built_in(route)) for route in FORMS}
        self.ends: Counter[str] = Counter()

    def one(self) -> None:
        """Ask once. Raises `UnsoundError`."""
        scene = self.chance.choice(self.scenes)
        text = self.mutator.text_of(self.chance.choice(self.seeds[scene.route]))
        headers = self._headers()
        answered = scene.ask(text, Told((b'{"id": "1"}',)), headers)
        try:
            self._judge(scene, text, headers, answered)
        except UnsoundError as error:
            rules = scene.get().verification.requests[scene.route]
            raise UnsoundError(f"{scene.route} to {scene.provider}, {rules}: {error}\n{text[:3000]!r}") from None

    def _headers(self) -> dict[str, str]:
        coding = self.chance.choice(_ENCODINGS)
        headers = {"Content-Type": self.chance.choice(_CONTENT_TYPES)}
        return headers if coding is None else {**headers, "Content-Encoding": coding}

    def _judge(self, scene: Scene, text: str, headers: dict[str, str], answered: Answered) -> None:
        if not scene.sent:
            self.ends[self._refusal(answered)] += 1
        elif len(scene.sent) > 1:
            raise UnsoundError("it was forwarded twice")
        else:
            self.ends["forwarded"] += 1
            self.judge_forward(scene, text, headers)
        if SECRET in scene.log.getvalue():
            raise UnsoundError(f"the log holds of the prompt: {scene.log.getvalue()[:2000]}")

    def _refusal(self, answered: Answered) -> str:
        if not 400 <= answered.status < 500:
            raise UnsoundError(f"status {answered.status} without a forward: {answered.body[:300]!r}")
        if SECRET.encode() in answered.body:
            raise UnsoundError(f"the refusal holds of the prompt: {answered.body[:300]!r}")
        error = json.loads(answered.body)["error"]
        return f"{answered.status} {error['code']}"

    def judge_forward(self, scene: Scene, text: str, headers: dict[str, str]) -> None:
        """Raise `UnsoundError` unless what the scene has sent may follow from that request."""
        if not headers["Content-Type"].startswith(JSON) or "latin" in headers["Content-Type"]:
            raise UnsoundError("a body that isn't JSON was forwarded")
        if headers.get("Content-Encoding", "identity") != "identity":
            raise UnsoundError("a compressed body was forwarded")
        asked, body = _strict(text), _strict(scene.sent[0].decode())
        self._check_schema(scene.route, asked)
        own_api = scene.provider == "openai" or scene.route != "chat_completions"
        self._check_schema(scene.route if own_api else "messages", body)
        if scene.get().verification.leaks:
            if SECRET in json.dumps(body):
                raise UnsoundError("the planted word was forwarded")
        elif own_api:
            self._check_same(scene, text, asked, body)

    def _check_schema(self, route: str, value: Any) -> None:
        if not self.judges[route].is_valid(value):
            raise UnsoundError("what was forwarded isn't as the schema says")

    def _check_same(self, scene: Scene, text: str, asked: Any, body: Any) -> None:
        """What was checked is what was sent, but for what the rules change."""
        if scene.sent[0] == text.encode():
            return
        rules = scene.get().verification.requests[scene.route]
        changed = _ADDED | set(rules.forced)
        if rules.max_output_tokens is not None:
            changed |= _CAPS
            if any((body.get(name) or 0) > rules.max_output_tokens for name in _CAPS):
                raise UnsoundError("more may be answered than the rules say")
        if rules.unknown_fields == STRIP:
            if not _is_part(body, asked, changed):
                raise UnsoundError("something else was forwarded than what was left over")
        elif _but(body, changed) != _but(asked, changed):
            raise UnsoundError(f"something else was forwarded than what was asked: {str(body)[:3000]}")
        if body == asked:
            raise UnsoundError("the bytes were changed for nothing")


def _scene(place: tuple[str, str], rules: RequestRules, *, is_guarded: bool = False) -> Scene:
    route, provider = place
    found = VerificationRules(requests={route: rules})
    return Scene(route, provider, found._replace(leaks=(LEAKS,), prompts=PROMPTS) if is_guarded else found)


def _with_secret(body: Any) -> Any:
    return json.loads(json.dumps(body).replace('"hello"', f'"hello {SECRET}"'))


def _strict(text: str) -> Any:
    """Read a text by the grammar, a long one by what the gateway uses, which tests compare with it."""
    if len(text) > MAX_SLOW_CHARS:
        return json.loads(text)
    is_strict, value = read(text)
    if not is_strict:
        raise UnsoundError("what isn't strict JSON was forwarded")
    return value


def _but(body: Any, names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


def _is_part(some: Any, whole: Any, added: set[str] | frozenset[str] = frozenset()) -> bool:
    """Say whether one value is the other with fields left out, and at its root such as may be added."""
    if isinstance(some, dict) and isinstance(whole, dict):
        return all(name in added or (name in whole and _is_part(child, whole[name])) for name, child in some.items())
    if isinstance(some, list) and isinstance(whole, list):
        return len(some) == len(whole) and all(map(_is_part, some, whole))
    return type(some) is type(whole) and some == whole


assert set(PATHS) == FORMS
assert {rules.unknown_fields for rules in RULES} == {IGNORE, STRIP, REFUSE}

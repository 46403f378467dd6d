"""Answers that are changed by chance, whole and streamed, chopped anywhere, under each mode of verification.

What passes under `enforce` is judged by others: a slow reader of event streams, the slow grammar, python-jsonschema.
"""

import json
import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import jsonschema

from sallyport.gateway.answer_guard import MAX_HELD_BYTES
from sallyport.policy.verification_rules import ENFORCE, MODES, REPORT, AnswerRules, VerificationRules
from sallyport.verification.schema import read_built_in
from tests.contract.test_request_schemas import GOOD
from tests.fuzz.mutations import Mutator
from tests.fuzz.requests import MAX_SLOW_CHARS, SECRET, UnsoundError
from tests.fuzz.scene import EVENT_STREAM, JSON, Answered, Scene, Told
from tests.support.json_grammar import read

PLACES = (
    ("chat_completions", "openai"),
    ("responses", "openai"),
    ("embeddings", "openai"),
    ("messages", "anthropic"),
    ("count_tokens", "anthropic"),
)
TRANSLATED = ("chat_completions", "anthropic")
SHAPES = Path(__file__).parents[1] / "unit" / "verification" / "shapes"
BYTES = (
    b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\n\n", b"\r\n\r\n", b": ping\n\n",
    b"data: [DONE]\n\n", b"data:{}\n\n", b"event: error\n", b"data\n", b"id: 1\n", b"retry: 5\n", b"\x00",
    b"data: \n\n",
)  # fmt: skip
MAX_BY_BYTES = 100_000
"""A longer answer isn't given once more by single bytes: 33 MB of them would take a quarter of a gigabyte here."""

_OUR_CODES = {"upstream_invalid_response", "upstream_error", "response_blocked"}
_MADE_UP_ID = re.compile(r"chatcmpl-[0-9a-f]{24}")
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r){2}")
_LINE_ENDS = re.compile(r"\r\n|\n|\r")


class Case(NamedTuple):
    """A scene, what its upstream answers, in one piece, and whether as a stream."""

    scene: Scene
    raw: bytes
    is_streamed: bool


class Answers:
    """Answers every route in turn."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.mutator = Mutator(chance)
        self.scenes = [_scene(place, mode) for place in (*PLACES, TRANSLATED) for mode in MODES]
        self.wholes = {route: _seeds(route, "json") for route in _ROUTES}
        self.streams = {route: _seeds(route, "sse") for route in _ROUTES}
        self.judges = {name: _judge(name) for route in _ROUTES for name in (route, f"{route}_event")}
        self.ends: Counter[str] = Counter()

    def one(self) -> None:
        """Have one request answered. Raises `UnsoundError`."""
        case = self._case()
        mode = _mode(case.scene)
        answered = self._ask(case, self._chopped(case.raw))
        try:
            self.ends[f"{mode}: {self.told(case, answered)}"] += 1
            is_begun = b"isn't one of this API" not in answered.body  # which is judged by however many bytes came first
            if mode == ENFORCE and is_begun and self.chance.random() < 0.05 and len(case.raw) < MAX_BY_BYTES:
                again = self._ask(case, tuple(case.raw[at : at + 1] for at in range(len(case.raw))))
                check(_outcome(answered) == _outcome(again), f"by single bytes it ends otherwise: {again}")
        except UnsoundError as error:
            where = f"{case.scene.route} of {case.scene.provider}, {mode}, stream {case.is_streamed}"
            raise UnsoundError(
                f"{where}: {error}\nupstream: {case.raw[:3000]!r}\nclient: {str(answered)[:3000]}"
            ) from None

    def _case(self) -> Case:
        scene = self.chance.choice(self.scenes)
        speaks = "messages" if (scene.route, scene.provider) == TRANSLATED else scene.route
        is_streamed = bool(self.streams[speaks]) and self.chance.random() < 0.7
        raw = self._stream(speaks) if is_streamed else self._whole(speaks)
        for _ in range(self.chance.choice((0, 0, 0, 1, 2))):
            at = self.chance.randrange(len(raw) + 1)
            raw = raw[:at] + self.chance.choice(BYTES) + raw[at + self.chance.choice((0, 0, 1, 50)) :]
        return Case(scene, raw, is_streamed)

    def _whole(self, route: str) -> bytes:
        value = json.loads(self.chance.choice(self.wholes[route]))
        return self.mutator.text_of(value).encode(errors="surrogatepass")

    def _stream(self, route: str) -> bytes:
        events = self.chance.choice(self.streams[route]).replace("\r\n", "\n").split("\n\n")
        for _ in range(self.chance.choice((0, 0, 1, 1, 2))):
            at = self.chance.randrange(len(events) or 1)
            if not events:
                break
            events = self.chance.choice((
                [*events[:at], *events[at + 1 :]],
                [*events[:at], events[at], *events[at:]],
                [*events[:at], *events[at : at + 2][::-1], *events[at + 2 :]],
                [*events[:at], self._other_data(events[at]), *events[at + 1 :]],
                [*events[:at], self._other_data(events[at]), *events[at + 1 :]],
                events[:at],
            ))  # fmt: skip
        line_end = self.chance.choice(("\n", "\n", "\n", "\r\n", "\r"))
        return "\n\n".join(events).replace("\n", line_end).encode(errors="surrogatepass")

    def _other_data(self, event: str) -> str:
        head, colon, data = event.partition("data: ")
        try:
            return head + colon + self.mutator.text_of(json.loads(data))
        except ValueError:
            return event + self.chance.choice(("x", " ", "\n: c", "\ndata: 1"))

    def _chopped(self, raw: bytes) -> tuple[bytes, ...]:
        size = self.chance.choice((len(raw), len(raw), 1400, 97, 13)) or 1
        return tuple(raw[at : at + size] for at in range(0, len(raw), size))

    def _ask(self, case: Case, chunks: tuple[bytes, ...]) -> Answered:
        body = dict(_BODIES[case.scene.route])
        if case.is_streamed:
            body["stream"] = True
        return case.scene.ask(json.dumps(body), Told(chunks, EVENT_STREAM if case.is_streamed else JSON))

    def told(self, case: Case, answered: Answered) -> str:
        """Judge what the client got, and give what it was in a word. Raises `UnsoundError`."""
        check(SECRET not in case.scene.log.getvalue(), f"the log holds of the answer: {case.scene.log.getvalue()}")
        if answered.status != 200:
            return refusal(case, answered)
        if (case.scene.route, case.scene.provider) == TRANSLATED:
            check(b'"internal_error"' not in answered.event, "the gateway failed")
            return "translated, cut" if answered.broke_off else "translated"
        if _mode(case.scene) != ENFORCE:
            check(not answered.broke_off, "it broke off")
            check(answered.body == case.raw, "it isn't the upstream's, byte for byte")
            return self._reported(case) if _mode(case.scene) == REPORT else "passed"
        return self._streamed(case, answered) if case.is_streamed else self._enforced(case, answered)

    def _reported(self, case: Case) -> str:
        """What is surely wrong must be in the log, or that nobody looked; the order of events is judged elsewhere."""
        log = case.scene.log.getvalue()
        is_told = '"response_violations"' in log or ('"response_unchecked"' in log and len(case.raw) > MAX_HELD_BYTES)
        try:
            name = f"{case.scene.route}_event" if case.is_streamed else case.scene.route
            text = _decoded(_whole_events(case.raw) if case.is_streamed else case.raw)
            for data in sse_data(text) if case.is_streamed else [text]:
                self._check_json(name, data)
        except UnsoundError as error:
            check(is_told, f"the log says nothing of a violation: {error}")
        return "passed, told" if is_told else "passed"

    def _enforced(self, case: Case, answered: Answered) -> str:
        check(not answered.broke_off, "an answer in one piece broke off")
        check(answered.body == case.raw, "it isn't the upstream's, byte for byte")
        self._check_json(case.scene.route, _decoded(answered.body))
        return "passed"

    def _streamed(self, case: Case, answered: Answered) -> str:
        check(case.raw.startswith(answered.body), "it isn't the upstream's up to where it ended")
        events = sse_data(_decoded(answered.body))
        if answered.broke_off:
            check(b"[DONE]" not in answered.event, "a made-up end")
            told = sse_data(_decoded(answered.body + answered.event))
            check(len(told) == len(events) + 1 and told[:-1] == events, "the error isn't an event of its own")
            check(any(code in told[-1] for code in _OUR_CODES), f"the event says {told[-1]}")
        else:
            whole = case.raw.decode(errors="replace")  # what comes after the last event is none, whatever it is
            check(events == sse_data(whole), "an event is missing")
        for data in events:
            self._check_json(f"{case.scene.route}_event", data)
        return "cut" if answered.broke_off else "passed"

    def _check_json(self, name: str, text: str) -> None:
        if name.endswith("_event") and text.strip() == "[DONE]":
            return
        is_strict, value = _read(text)
        check(is_strict, "it isn't strict JSON")
        if not name.endswith("_event") or "error" not in text:  # an event that tells an error has its own form
            check(isinstance(value, dict) and self.judges[name].is_valid(value), "it isn't as its schema says")


_ROUTES = tuple(route for route, _ in PLACES)
_BODIES = dict(reversed(GOOD))  # the first of each, which is the plainest


def sse_data(text: str) -> list[str]:
    """Give the data of a stream's events as WHATWG HTML, section 9.2.6, says, the slow way: all of it at once."""
    found, data = [], list[str]()
    *lines, _ = _LINE_ENDS.split(text.removeprefix("\ufeff"))
    for line in lines:
        name, _, value = line.partition(":")
        if not line and data:
            found.append("\n".join(data))
            data = []
        elif name == "data":
            data.append(value.removeprefix(" "))
    return found


def refusal(case: Case, answered: Answered) -> str:
    """Give status and code of an answer that isn't the upstream's. Raises `UnsoundError` for one that may not be.

    A translator also tells the upstream's own errors, and that the answer has no end.
    """
    code = json.loads(answered.body)["error"]["code"]
    is_translated = (case.scene.route, case.scene.provider) == TRANSLATED
    check(answered.status == 502 or is_translated, f"status {answered.status}")
    check(code in _OUR_CODES or (is_translated and code != "internal_error"), f"code {code}")
    check(SECRET.encode() not in answered.body, "the refusal holds of the answer")
    return f"{answered.status} {code}"


def _outcome(answered: Answered) -> tuple[list[str], str]:
    """Give what the client can see: comments that come early make of a refusal an error in the stream.

    An answer without an id is translated into one that has a new one each time.
    """
    body = _MADE_UP_ID.sub("", answered.body.decode())
    if answered.status != 200:
        return [], str(json.loads(body)["error"]["code"])
    if not answered.event and body.startswith("{"):
        return [body], ""
    code = next((code for code in _OUR_CODES if code.encode() in answered.event), "")
    return sse_data(body), code


def _read(text: str) -> tuple[bool, Any]:
    if len(text) < MAX_SLOW_CHARS:
        return read(text)
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        return False, None


def _whole_events(raw: bytes) -> bytes:
    """Give a stream up to its last blank line; what comes after that is no event, whatever it is."""
    ends = [found.end() for found in _BLANK_LINE.finditer(raw)]
    return raw[: ends[-1]] if ends else b""


def _scene(place: tuple[str, str], mode: str) -> Scene:
    route, provider = place
    return Scene(route, provider, VerificationRules(answers={route: AnswerRules(mode)}))


def _mode(scene: Scene) -> str:
    return scene.get().verification.answers[scene.route].mode


def _seeds(route: str, ext: str) -> list[str]:
    return [_with_secret(path.read_text()) for path in sorted((SHAPES / route).glob(f"*.{ext}"))]


def _with_secret(text: str) -> str:
    return re.sub(r'("(?:content|text|arguments|delta|partial_json)": ?")', rf"\g<1>{SECRET} ", text)


def _judge(name: str) -> Any:
    if name in {"embeddings_event", "count_tokens_event"}:
        return None
    return jsonschema.Draft202012Validator(read_built_in(f"answers/{name}"))


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise UnsoundError("it isn't UTF-8") from None


def check(is_so: bool, otherwise: str) -> None:
    """Raise `UnsoundError` unless it is so."""
    if not is_so:
        raise UnsoundError(otherwise)

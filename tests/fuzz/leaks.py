"""The same answers with a leak guard before the client: the word that stands in every text never comes through."""

import json
from random import Random

from sallyport.policy.verification_rules import (
    ANSWERS,
    BLOCK,
    ENFORCE,
    OFF,
    REDACT,
    AnswerRules,
    LeakRules,
    VerificationRules,
)
from tests.fuzz.answers import PLACES, TRANSLATED, Answers, Case, check, refusal, sse_data
from tests.fuzz.requests import SECRET
from tests.fuzz.scene import Answered, Scene


class Leaks(Answers):
    """Answers every route in turn, with a guard that redacts or blocks."""

    def __init__(self, chance: Random) -> None:
        super().__init__(chance)
        actions, modes = (REDACT, BLOCK), (OFF, ENFORCE)
        self.scenes = [
            _scene(*place, each, mode) for place in (*PLACES, TRANSLATED) for each in actions for mode in modes
        ]

    def told(self, case: Case, answered: Answered) -> str:
        """Judge what the client got, and give what it was in a word. Raises `UnsoundError`."""
        action = case.scene.get().verification.leaks[0].action
        check(SECRET not in case.scene.log.getvalue(), f"the log holds of the answer: {case.scene.log.getvalue()}")
        if answered.status != 200:
            return f"{action}, {refusal(case, answered)}"
        check(b'"internal_error"' not in answered.event and b"[DONE]" not in answered.event, "the gateway failed")
        text = answered.body.decode(errors="replace")
        for data in sse_data(text) if case.is_streamed else [text]:
            check(SECRET not in data, "the word came through")
        if not case.is_streamed:
            json.loads(text)
        check(case.is_streamed or not answered.broke_off, "an answer in one piece broke off")
        return f"{action}, cut" if answered.broke_off else action


def _scene(route: str, provider: str, action: str, mode: str) -> Scene:
    rule = LeakRules("planted", (), (), (SECRET,), action, (ANSWERS,))
    rules = VerificationRules(answers={route: AnswerRules(mode)}, leaks=(rule,))
    return Scene(route, provider, rules, stream_usage=mode == OFF)

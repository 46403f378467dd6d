"""A short run of `python -m tests.fuzz`, in a process of its own, whose memory is measured; and whether it can fail."""

import json
import subprocess
import sys
from random import Random

import pytest

from sallyport.policy.verification_rules import ENFORCE
from tests.fuzz.answers import Answers, Case, sse_data
from tests.fuzz.requests import Requests, UnsoundError
from tests.fuzz.scene import Answered

GOOD = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
HEADERS = {"Content-Type": "application/json"}


def test_bodies_changed_by_chance_cause_no_failure_and_no_unchecked_forward() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--count", "1000", "--seed", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"forwarded", "400 invalid_json", "400 invalid_request", "enforce: passed", "enforce: cut"} <= {
        line.strip().partition(" ")[2] for line in done.stdout.splitlines()
    }


@pytest.fixture(scope="module")
def requests() -> Requests:
    return Requests(Random(1))  # noqa: S311 - no secret


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers(Random(1))  # noqa: S311 - no secret


@pytest.mark.parametrize(
    "sent",
    [
        GOOD + " ",
        GOOD.replace('"hi"', '"ho"'),
        GOOD.replace('"model"', '"model": "n", "model"'),
        GOOD.replace('"m"', "NaN"),
        GOOD.replace('"user"', '"root"'),
        GOOD + "{}",
        "[]",
    ],
)
def test_an_unchecked_forward_would_be_found(requests: Requests, sent: str) -> None:
    scene = requests.scenes[0]
    scene.sent = [sent.encode()]
    with pytest.raises(UnsoundError):
        requests.judge_forward(scene, GOOD, HEADERS)
    scene.sent = [GOOD.encode()]
    requests.judge_forward(scene, GOOD, HEADERS)


@pytest.mark.parametrize(
    "answered",
    [
        Answered(200, b"data: {}\n\n", b"", broke_off=False),
        Answered(200, b"data: x\n\n", b"data: [DONE]\n\n", broke_off=True),
        Answered(200, b"", b"", broke_off=True),
        Answered(500, b'{"error": {"code": "internal_error"}}', b"", broke_off=False),
        Answered(502, b'{"error": {"code": "upstream_invalid_response", "message": "zebra-lantern-42"}}', b"", False),
    ],
)
def test_an_answer_that_may_not_be_would_be_found(answers: Answers, answered: Answered) -> None:
    scene = next(one for one in answers.scenes if one.get().verification.answers[one.route].mode == ENFORCE)
    with pytest.raises(UnsoundError):
        answers.told(Case(scene, b"data: x\n\n", is_streamed=True), answered)


def test_streams_are_read_as_the_specification_says() -> None:
    text = "\ufeffevent: a\rdata: 1\r\ndata:2\n\n: c\n\ndata\n\nid: 1\n\ndata:  x\n\ndata: cut\n"
    assert sse_data(text) == ["1\n2", "", " x"]

"""What `sallyport local` prints works as pasted, and it ends when it is told to."""

import http.client
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.local_stack import LocalStack

pytestmark = pytest.mark.e2e

BIN = Path(sys.executable).parent


def printed_block(stack: LocalStack, first: str) -> str:
    """Give the banner's lines from the one that begins so to the next blank one."""
    lines = stack.printed.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(first))
    return "\n".join(lines[start : lines.index("", start)])


def run(command: list[str], **environ: str) -> str:
    environ = {"PATH": f"{BIN}:{os.environ['PATH']}", **environ}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl isn't installed here")
def test_the_curl_line_works_as_pasted(stack: LocalStack) -> None:
    answer = run(["bash", "-c", printed_block(stack, "curl")])
    assert '"content":"Hello,"' in answer
    assert answer.rstrip().endswith("data: [DONE]")


def test_the_python_block_works_as_pasted(stack: LocalStack) -> None:
    assert run([sys.executable, "-c", printed_block(stack, "from openai")]) == "Hello, world!"


def test_a_key_made_by_the_printed_command_works_as_pasted() -> None:
    with LocalStack("--no-seed") as bare:
        command = next(line for line in bare.printed.splitlines() if "keys create" in line)
        key = run(["bash", "-c", command]).strip()
        answer = run([sys.executable, "-c", printed_block(bare, "import os")], SALLYPORT_KEY=key)
    assert answer == "Hello, world!"


def test_a_stack_is_not_looked_up_where_there_is_no_cloudformation(stack: LocalStack) -> None:
    command = [str(BIN / "sallyport"), "keys", "create", "--tenant", "a", "--name", "b", "--stack", "sallyport"]
    done = subprocess.run([*command, "--endpoint-url", stack.emulator_url], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_it_ends_while_a_stream_is_open() -> None:
    with LocalStack() as stack:
        connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=60)
        body = {"model": "fault-stall", "stream": True, "messages": [{"role": "user", "content": "one two three"}]}
        headers = {"Authorization": f"Bearer {stack.key}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        assert response.read1()
        assert stack.interrupt(timeout_s=15) == 0  # the upstream itself stays silent for a minute
        connection.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["local", "--parameter", "Nope=1"], "the template has no such parameter"),
        (["local", "--parameter", "IpDenyList=everyone"], "must be IP addresses or networks"),
        (["local", "--port", "99999"], "99999 is not in the range"),
        (["echo-upstream", "--port", "99999"], "99999 is not in the range"),
        (["invoke", "HealthzFunction", "-e", "README.md"], "README.md: isn't JSON"),
    ],
)
def test_a_mistake_is_told_in_a_line(stack: LocalStack, arguments: list[str], message: str) -> None:
    done = subprocess.run([str(BIN / "sallyport"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode in {1, 2}
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_an_emulator_that_is_not_there_is_told_in_a_line() -> None:
    command = [str(BIN / "sallyport"), "local", "--port", "0"]
    environ = {**os.environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "the emulated AWS at http://127.0.0.1:9" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr

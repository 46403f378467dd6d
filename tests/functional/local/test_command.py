"""`sallyport local` as a program: its ready line, its banner, and nothing left behind."""

import json
import signal
import socket
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from tests.functional.local.started import running
from tests.functional.local.stub import DEADLINE_S, process_state


def get(url: str, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={k.replace("_", "-"): v for k, v in headers.items()})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as response:  # noqa: S310 - loopback
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def wait_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while any(process_state(pid) not in ("-", "Z") for pid in pids):
        assert time.monotonic() < deadline, "processes are left behind"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_behind(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path) as started:
        url = started.ready_url()
        assert get(f"{url}/open")[0] == 200
        pids = started.descendants()
        assert len(pids) >= 4  # guardian, emulator, echo, functions
        started.process.send_signal(number)
        status = started.finish()
        assert status == (0 if number != signal.SIGKILL else -signal.SIGKILL)
        wait_gone(pids)
        assert started.process.stdout is not None
        assert started.process.stdout.read() == ""


def test_the_emulated_aws_is_where_it_was_asked_to_be(tmp_path: Path) -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running(tmp_path, "--aws-port", str(port)) as started:
        started.ready_url()
        started.wait_for(f"  AWS        http://127.0.0.1:{port} (embedded, in memory)\n")


def test_a_port_of_the_emulated_aws_that_is_taken_is_told_in_a_line(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with running(tmp_path, "--aws-port", str(port)) as started:
            assert started.finish() == 1
    assert f"port {port}: Address already in use" in started.printed.splitlines()[-1]
    assert "Traceback" not in started.printed


def test_the_callers_environment_does_not_reach_the_functions(tmp_path: Path) -> None:
    with running(tmp_path, "--parameter", "StageName=dev", OPENAI_API_KEY="sk-secret", MY_SECRET="s") as started:
        environ = json.loads(get(f"{started.ready_url()}/open")[1])["environ"]
        assert environ["STAGE"] == "dev"
        assert "sk-secret" not in json.dumps(environ)
        assert "MY_SECRET" not in environ
        assert environ["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert "sk-secret" not in started.printed


@pytest.mark.parametrize("secret", ["hunter2hunter2", "=hunter2hunter2", "identity/a=", "/identity=hunter2hunter2"])
def test_a_secret_that_is_no_assignment_is_refused_without_repeating_it(tmp_path: Path, secret: str) -> None:
    with running(tmp_path, "--secret", secret) as started:
        assert started.finish() == 2
        assert "--secret" in started.printed
        assert "hunter2" not in started.printed


def test_a_log_file_has_what_the_functions_print_and_keeps_what_it_had(tmp_path: Path) -> None:
    log = tmp_path / "functions.log"
    log.write_text("before\n")
    with running(tmp_path, "--log-file", str(log)) as started:
        request = urllib.request.Request(f"{started.ready_url()}/open", b'{"steps": ["raise:boom"]}')  # noqa: S310
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=DEADLINE_S)  # noqa: S310 - loopback
        caught.value.close()
        logged = log.read_text()  # while it runs
    assert logged.startswith("before\n")
    assert "the invocation failed" in logged


def test_a_log_file_that_cannot_be_written_ends_it_with_the_reason(tmp_path: Path) -> None:
    with running(tmp_path, "--log-file", str(tmp_path / "missing" / "functions.log")) as started:
        assert started.finish() == 2
        assert "No such file or directory" in started.printed


def test_a_refused_parameter_ends_it_with_the_reason(tmp_path: Path) -> None:
    with running(tmp_path, "--parameter", "Rate=11") as started:
        assert started.finish() == 1
        assert started.printed == "Error: parameter Rate: '11' is more than 10\n"


def test_the_banner_names_the_demo_key_unless_told_not_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with running(tmp_path / "a") as seeded:
        seeded.ready_url()
    with running(tmp_path / "b", "--no-seed") as bare:
        bare.ready_url()
    assert "demo key   sp_" in seeded.printed
    assert "demo key   none" in bare.printed

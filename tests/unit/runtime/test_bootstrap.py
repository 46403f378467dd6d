"""The exec wrapper and the process it starts, against the fake Runtime API."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_runtime_api import ACCEPTED, PATIENCE_S, FakeRuntimeApi, Reply, event, parse

LAYER = Path(__file__).parents[3] / "layers" / "common"
SHOW = """
import os, sys
seen = []
def init(environ): seen.append(environ["MADE_UP"])
def handler(event, context):
    print("one line", event, flush=False)
    return {"path": sys.path, "seen": seen, "safe": sys.flags.safe_path, "modules": sorted(sys.modules),
            "env": dict(os.environ)}
"""


def start(task_root: Path, fake: FakeRuntimeApi, handler: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run bootstrap as Lambda does, until the fake's script has ended."""
    return subprocess.run(
        [LAYER / "bootstrap", sys.executable, "/var/runtime/bootstrap.py", handler],
        env={
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_RUNTIME_API": fake.address,
            "LAMBDA_TASK_ROOT": str(task_root),
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "PYTHONPATH": str(LAYER),
            "_HANDLER": handler,
            **environ,
        },
        cwd=task_root,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def show(task_root: Path, *script: Reply, **environ: str) -> tuple[Any, subprocess.CompletedProcess[str]]:
    (task_root / "show.py").write_text(SHOW)
    with FakeRuntimeApi(*script or (event(b'"x"'), ACCEPTED)) as fake:
        ended = start(task_root, fake, "show.handler", MADE_UP="1", **environ)
    return parse(fake.requests[1]).json, ended


def test_the_function_comes_first_on_the_path_then_the_layer_then_the_runtime(tmp_path: Path) -> None:
    shown, _ = show(tmp_path)
    assert shown["path"][:5] == [
        str(tmp_path),
        f"{LAYER}/python/lib/python3.13/site-packages",
        f"{LAYER}/python",
        "/var/runtime",
        str(LAYER),
    ]
    assert shown["path"][5].endswith(".zip")
    assert shown["safe"]


def test_a_path_that_is_there_already_is_not_added_twice(tmp_path: Path) -> None:
    managed = f"{LAYER}/python/lib/python3.13/site-packages:{LAYER}/python:/var/runtime"
    (tmp_path / "sallyport").symlink_to(LAYER / "sallyport")  # nothing else on this path leads to the package
    shown, _ = show(tmp_path, PYTHONPATH=managed)
    assert shown["path"][:4] == [str(tmp_path), *managed.split(":")]
    assert shown["path"][4].endswith(".zip")


def test_empty_variables_do_not_put_the_current_directory_on_the_path(tmp_path: Path) -> None:
    shown, _ = show(tmp_path, LAMBDA_RUNTIME_DIR="")
    assert "" not in shown["path"]
    assert shown["path"].count(str(tmp_path)) == 1


def test_init_is_called_once_before_the_first_event(tmp_path: Path) -> None:
    shown, _ = show(tmp_path, event(), ACCEPTED, event(), ACCEPTED)
    assert shown["seen"] == ["1"]


def test_what_the_handler_prints_reaches_the_log_in_whole_lines(tmp_path: Path) -> None:
    _, ended = show(tmp_path)
    assert ended.stdout == "one line x\n"


def test_the_process_ends_with_an_error_when_the_runtime_api_is_gone(tmp_path: Path) -> None:
    _, ended = show(tmp_path)
    assert ended.returncode == 1
    assert json.loads(ended.stderr)["message"] == "the Runtime API failed"


def test_the_runtime_imports_nothing_heavy(tmp_path: Path) -> None:
    """The design's rule on cold starts, for the runtime itself."""
    shown, _ = show(tmp_path)
    heavy = {"asyncio", "dataclasses", "email", "http", "inspect", "logging", "ssl", "threading", "traceback", "typing"}
    assert heavy.isdisjoint(shown["modules"])


@pytest.mark.parametrize(
    ("source", "error_type", "message"),
    [
        (
            "import none_such",
            "Runtime.ImportModuleError",
            "Unable to import module 'broken': No module named 'none_such'",
        ),
        ("def init(environ): raise ValueError('sk-secret')\nhandler = print", "ValueError", "ValueError at {}:1"),
    ],
)
def test_a_function_that_cannot_start_says_so_and_ends(
    tmp_path: Path, source: str, error_type: str, message: str
) -> None:
    module = tmp_path / "broken.py"
    module.write_text(source)
    with FakeRuntimeApi(ACCEPTED) as fake:
        ended = start(tmp_path, fake, "broken.handler")
    told = parse(fake.requests[0])
    assert told.line == "POST /2018-06-01/runtime/init/error HTTP/1.1"
    assert told.headers["Lambda-Runtime-Function-Error-Type"] == error_type
    assert told.headers["Content-Type"] == "application/vnd.aws.lambda.error+json"
    assert (told.json["errorType"], told.json["errorMessage"]) == (error_type, message.format(module))
    assert (ended.returncode, len(fake.requests)) == (1, 1)
    assert json.loads(ended.stderr)["errorType"] == error_type
    assert "sk-secret" not in ended.stderr

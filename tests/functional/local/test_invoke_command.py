"""`sallyport invoke` prints what `sam local invoke` prints."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sallyport_cli.main import main
from tests.functional.local.stub import write_stack


def invoke(directory: Path, function: str, event: dict[str, Any], env_vars: dict[str, Any] | None = None) -> Result:
    template = write_stack(directory)
    event_file, env_file = directory / "event.json", directory / "env.json"
    event_file.write_text(json.dumps(event))
    env_file.write_text(json.dumps(env_vars or {}))
    arguments = ["invoke", function, "-e", str(event_file), "-n", str(env_file), "--template", str(template)]
    return CliRunner().invoke(main, arguments)


def test_a_buffered_answer_is_printed_as_json_without_a_newline(tmp_path: Path) -> None:
    result = invoke(tmp_path, "Buffered", {"answer": {"statusCode": 200, "body": "é"}})
    assert (result.exit_code, result.stdout) == (0, '{"statusCode": 200, "body": "é"}')


def test_a_streamed_answer_is_printed_with_its_metadata(tmp_path: Path) -> None:
    result = invoke(tmp_path, "Streamed", {"steps": ["yield:one", "yield:two"]})
    metadata, payload = result.stdout_bytes.split(b"\0" * 8)
    assert (result.exit_code, json.loads(metadata)["statusCode"], payload) == (0, 200, b"onetwo")


def test_an_error_is_printed_as_lambda_reports_it(tmp_path: Path) -> None:
    result = invoke(tmp_path, "AuthorizerFunction", {"headers": {"x-wish": "unauthorized"}, "methodArn": "a"})
    assert (result.exit_code, json.loads(result.stdout)["errorMessage"]) == (0, "Unauthorized")


def test_env_vars_replace_declared_variables_and_may_add_awss_own(tmp_path: Path) -> None:
    env_vars = {
        "Parameters": {"STAGE": "all", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "STRAY": "x"},
        "Buffered": {"STAGE": "own"},
        "Streamed": {"STAGE": "other"},
    }
    environ = json.loads(json.loads(invoke(tmp_path, "Buffered", {}, env_vars).stdout)["body"])["environ"]
    assert (environ["STAGE"], environ["AWS_ENDPOINT_URL"]) == ("own", "http://127.0.0.1:1")
    assert "STRAY" not in environ
    assert environ["AWS_SAM_LOCAL"] == "true"


@pytest.mark.parametrize("function", ["Nothing", "Api"])
def test_an_unknown_function_is_refused_with_those_there_are(tmp_path: Path, function: str) -> None:
    result = invoke(tmp_path, function, {})
    assert result.exit_code == 1
    assert "AuthorizerFunction, Buffered" in result.output

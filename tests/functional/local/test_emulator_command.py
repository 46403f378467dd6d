"""`sallyport emulator` with files that it can't be filled with: a line for each mistake, with the file's name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from sallyport.identity.api_keys import mint
from sallyport_cli.main import main
from tests.functional.local.stub import write_stack

KEY = mint().text
ENTRY = {"key": KEY, "tenant": "acme", "name": "app"}

type Refusal = Callable[..., str]


@pytest.fixture
def refusal(tmp_path: Path) -> Refusal:
    """Gives what a start with one file in events/ says on stderr, the directory left out."""
    template = write_stack(tmp_path)
    events = tmp_path / "events"
    events.mkdir()

    def run(**files: bytes) -> str:
        for name, content in files.items():
            (events / name.replace("__", ".").replace("_", "-")).write_bytes(content)
        arguments = ["--template", str(template), "--events", str(events), "--port", "0", "--echo-port", "0"]
        result = CliRunner(mix_stderr=False).invoke(main, ["emulator", *arguments])
        assert isinstance(result.exception, SystemExit), result.exception
        assert (result.exit_code, result.stdout) == (1, "")
        assert KEY[20:] not in result.stderr
        return result.stderr.replace(f"{events}/", "")

    return run


@pytest.mark.parametrize(
    ("seed", "reasons"),
    [
        (b'{"keys": [', ["Invalid JSON: EOF while parsing a list at line 1 column 10"]),
        (b"\xff", ["Invalid JSON: expected value at line 1 column 1"]),
        (b"[]", ["Input should be an object"]),
        (json.dumps({"keys": [{**ENTRY, "key": KEY[:-1]}]}).encode(), ["keys.0.key: isn't a key: a typing error"]),
        (
            json.dumps({"keys": [{"key": KEY, "name": 1}], "secrets": {"a": {}}}).encode(),
            [
                "keys.0.tenant: Field required",
                "keys.0.name: Input should be a valid string",
                "secrets.a: Input should be a valid string",
            ],
        ),
        (json.dumps({"keys": [ENTRY, ENTRY]}).encode(), ["keys: one of them is there twice"]),
    ],
)
def test_a_broken_seed_is_refused_with_its_name(refusal: Refusal, seed: bytes, reasons: list[str]) -> None:
    assert refusal(seed__json=seed) == "Error: " + "".join(f"seed.json: {reason}\n" for reason in reasons)


@pytest.mark.parametrize("content", [b"\xff", b"sp_0123456789abcdef_", b""])
def test_a_broken_example_key_is_refused_with_its_name(refusal: Refusal, content: bytes) -> None:
    assert refusal(example_key__txt=content) == "Error: example-key.txt: isn't a key: a typing error\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", "policy.yaml: isn't UTF-8\n"),
        (b"version: [1\n", "policy.yaml:2: isn't YAML: "),
        (b"version: 1\ntenants: {a: {suspended: perhaps}}\n", "policy.yaml:2: tenants.a.suspended: "),
    ],
)
def test_a_broken_policy_is_refused_with_its_name(refusal: Refusal, content: bytes, reason: str) -> None:
    assert refusal(policy__yaml=content).startswith(f"Error: {reason}")


def test_what_the_emulated_aws_does_not_take_is_told_with_its_file(refusal: Refusal) -> None:
    seed = json.dumps({"keys": [ENTRY]}).encode()
    message = refusal(seed__json=seed, example_key__txt=KEY.encode())
    assert message.startswith("Error: example-key.txt: An error occurred (TransactionCanceledException)")

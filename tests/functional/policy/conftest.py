"""The commands, run in this process against an emulated config table."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sallyport_cli.main import main
from tests.support.aws import Emulator

type Run = Callable[..., Result]


@pytest.fixture
def run(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `sallyport` in an empty directory on empty tables; `text` is written to policy.yaml first."""
    emulator.empty_tables()
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, text: str | None = None, target: bool = True, stdin: str | bytes | None = None) -> Result:
        if text is not None:
            (tmp_path / "policy.yaml").write_text(text)
        where = ("--endpoint-url", emulator.url) if target else ()
        result = CliRunner(mix_stderr=False).invoke(main, [*arguments, *where], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run

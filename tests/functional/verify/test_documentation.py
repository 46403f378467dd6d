"""docs/verification.md: its policy is sound, its commands print what stands below them, its lists are whole."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from sallyport.verification.leaks.detectors import DETECTORS
from sallyport.verification.leaks.held_text import LOOKBACK, MAX_LEAK
from sallyport.verification.violations import KINDS
from sallyport_cli.echo.faults import VIOLATIONS
from sallyport_cli.main import main
from tests.functional.verify.conftest import SHOP

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "verification.md").read_text()
PROSE = " ".join(PAGE.split())


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder that the page's commands are typed in."""
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "summarizer.yaml").write_text(SHOP)
    (tmp_path / "policy.yaml").write_text(block("yaml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed() -> Iterator[tuple[str, str]]:
    """Give each line that is typed, and what stands below it."""
    for part in re.split(r"^\$ ", block("console"), flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        yield line, shown


@pytest.mark.usefixtures("folder")
def test_policy_of_the_page_is_sound() -> None:
    result = CliRunner(mix_stderr=False).invoke(main, ["policy", "validate", "policy.yaml"])
    assert (result.exit_code, result.stderr) == (0, "")


def test_commands_print_what_the_page_shows(folder: Path) -> None:
    tried = []
    for line, shown in typed():
        words = shlex.split(line)
        if words[0] == "cat":
            (folder / words[1]).write_text(shown)
            continue
        result = CliRunner().invoke(main, words[1:])
        assert result.output.strip() == shown.strip()
        tried.append(result.exit_code)
    assert tried == [0, 1, 1, 0, 1, 0]


def test_page_names_every_detector_and_kind_of_violation() -> None:
    assert [name for name in (*DETECTORS, *KINDS) if f"`{name}`" not in PAGE] == []


def test_page_states_how_much_is_held_back() -> None:
    assert f"{LOOKBACK:,} bytes (`LOOKBACK`)" in PROSE
    assert f"up to {MAX_LEAK // 1024} KiB" in PROSE


@pytest.mark.parametrize("page", ["verification.md", "local.md"])
def test_faults_of_the_echo_are_listed(page: str) -> None:
    text = (DOCS / page).read_text()
    assert [name for name in VIOLATIONS if f"fault-{name}" not in text] == []

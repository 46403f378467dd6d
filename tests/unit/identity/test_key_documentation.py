"""The published pattern of keys: what docs/api-keys.md gives to secret scanners is what keys look like."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sallyport.identity.api_keys import KEY_PATTERN, mint, parse
from tests.support.aws import ROOT

PAGE = (ROOT / "docs" / "api-keys.md").read_text()
EXAMPLE = (ROOT / "events" / "example-key.txt").read_text().strip()


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def field(name: str) -> str:
    found = re.search(rf"^\| {name} \| `(.*?)`", PAGE, flags=re.MULTILINE)
    assert found is not None
    return found[1].replace(r"\|", "|").replace(r"\z", r"\Z")


def test_the_published_pattern_is_the_codes() -> None:
    assert f"\n    {KEY_PATTERN}\n" in PAGE
    assert field("Secret format") == KEY_PATTERN
    assert KEY_PATTERN in tomllib.loads(block("toml"))["rules"][0]["regex"]
    assert f"grep -Eo '{KEY_PATTERN}'" in block("sh")


@pytest.mark.parametrize("around", ["{}", 'api_key = "{}"', "Authorization: Bearer {}\n", "KEY={};", "<{}>", "{},"])
def test_scanners_find_every_key(around: str) -> None:
    rule = tomllib.loads(block("toml"))["rules"][0]
    for _ in range(200):
        key = mint().text
        text = around.format(key)
        found = re.search(rule["regex"], text)
        assert found is not None
        assert found[1] == key
        assert any(word in text.lower() for word in rule["keywords"])
        github = f"(?:{field('Before secret')})({field('Secret format')})(?:{field('After secret')})"
        assert re.findall(github, text) == [key]


def test_the_test_string_is_the_example_key() -> None:
    assert field("Test string") == EXAMPLE
    assert parse(EXAMPLE) is not None


def test_the_printed_check_tells_keys_from_noise(tmp_path: Path) -> None:
    good, noise = mint(), EXAMPLE[:-1] + ("0" if EXAMPLE[-1] != "0" else "1")
    (tmp_path / "leak.txt").write_text(f"key: {good.text}\nnoise: {noise}\n")
    environ = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    script = block("sh").replace("FILE", "leak.txt")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"sp_{good.key_id} is a key\n{noise[:19]} is noise\n"

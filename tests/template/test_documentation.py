"""The tables in docs/ against the template: a parameter that isn't documented as it is fails here."""

import re
from typing import Any

import pytest
import yaml

from tests.support.aws import ROOT


class _Loader(yaml.SafeLoader):
    """Reads the template's own tags as nothing."""


_Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)

TEMPLATE: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), Loader=_Loader)  # noqa: S506 - a SafeLoader
ROWS = dict(
    re.findall(
        r"^\| `(\w+)` \| (?:`([^`]*)`|empty) \|", (ROOT / "docs" / "configuration.md").read_text(), flags=re.MULTILINE
    )
)


def test_every_parameter_has_a_row_and_every_row_a_parameter() -> None:
    assert set(ROWS) == set(TEMPLATE["Parameters"])


@pytest.mark.parametrize("name", list(TEMPLATE["Parameters"]))
def test_a_row_shows_the_default(name: str) -> None:
    assert ROWS[name] == str(TEMPLATE["Parameters"][name]["Default"])

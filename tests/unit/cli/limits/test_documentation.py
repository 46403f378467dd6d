"""docs/limits.md: its examples are sound."""

import re
from pathlib import Path

from tests.unit.cli.policy.documents import read

PAGE = (Path(__file__).parents[4] / "docs" / "limits.md").read_text()


def test_every_example_can_be_applied_as_it_stands() -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert examples
    for example in examples:
        assert read(example).warnings == ()

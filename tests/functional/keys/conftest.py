"""Fixtures for the tests of `sallyport keys`."""

import pytest

from tests.functional.keys.command import Keys
from tests.support.aws import Emulator


@pytest.fixture
def keys(emulator: Emulator) -> Keys:
    """The command, on empty tables."""
    return Keys(emulator)

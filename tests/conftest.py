"""Fixtures for all tests."""

import os
from collections.abc import Iterator

import pytest

from tests.support.aws import Emulator

os.environ.update(
    AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local", AWS_EC2_METADATA_DISABLED="true"
)  # for boto3


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """DynamoDB and Secrets Manager on loopback."""
    running = Emulator()
    yield running
    running.close()

"""Fixtures for all tests."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.aws import Emulator

# How long an example takes says something of the machine and its load, and nothing of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

os.environ.update(
    AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local", AWS_EC2_METADATA_DISABLED="true"
)  # for boto3


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """DynamoDB and Secrets Manager on loopback."""
    running = Emulator()
    yield running
    running.close()

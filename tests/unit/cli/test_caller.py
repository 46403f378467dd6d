"""Whose name is stored beside what an operator changed."""

import getpass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sallyport_cli.caller import caller_arn, caller_name
from sallyport_cli.target import Target
from tests.support.aws import Emulator
from tests.support.servers import refused_url


class Sts:
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def get_caller_identity(self) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def test_at_an_emulator_it_is_this_machines_user() -> None:
    assert caller_name(Target(None, None, None, "http://127.0.0.1:9")) == getpass.getuser()


def test_in_aws_it_is_the_callers_arn(emulator: Emulator) -> None:
    arn = caller_arn(boto3.client("sts", endpoint_url=emulator.url, region_name="us-east-1"))
    assert arn is not None
    assert arn.startswith("arn:aws:sts::")


@pytest.mark.parametrize("answer", [ClientError({"Error": {"Code": "AccessDenied"}}, "GetCallerIdentity"), {}])
def test_without_an_answer_there_is_no_arn(answer: Any) -> None:
    assert caller_arn(Sts(answer)) is None


def test_an_sts_that_is_down_is_no_answer() -> None:
    config = Config(retries={"total_max_attempts": 1})
    sts = boto3.client("sts", endpoint_url=refused_url(), region_name="us-east-1", config=config)
    assert caller_arn(sts) is None


def test_a_name_is_bounded() -> None:
    assert len(caller_arn(Sts({"Arn": "a" * 1000})) or "") == 256

"""What AWS tells of an inference profile, asked once, and never guessed where it doesn't tell."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from sallyport_cli.policy.inference_profiles import profile_resolver, resolver_of
from sallyport_cli.target import Target

PROFILE = "eu.anthropic.claude-x-v1:0"


class Bedrock:
    """Stands for boto3's client of Bedrock."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.asked: list[str] = []
        self._answer = answer

    def get_inference_profile(self, *, inferenceProfileIdentifier: str) -> Any:  # noqa: N803 - boto3's own name
        self.asked.append(inferenceProfileIdentifier)
        return self._answer()


def profile(*regions: str) -> dict[str, Any]:
    arns = (f"arn:aws:bedrock:{region}::foundation-model/anthropic.claude-x-v1:0" for region in regions)
    return {"models": [{"modelArn": arn} for arn in arns]}


def test_a_profile_s_regions_are_asked_for_once_in_the_upstream_s_region() -> None:
    client = Bedrock(lambda: profile("eu-west-1", "eu-central-1", "eu-west-1"))
    asked_in: list[str] = []

    def client_of(region: str) -> Bedrock:
        asked_in.append(region)
        return client

    resolve = resolver_of(client_of)
    assert resolve("eu-central-1", PROFILE) == ("eu-central-1", "eu-west-1") == resolve("eu-central-1", PROFILE)
    assert (asked_in, client.asked) == (["eu-central-1"], [PROFILE])


def test_an_arn_without_a_region_is_anywhere() -> None:
    client = Bedrock(lambda: profile("eu-west-1", ""))
    assert resolver_of(lambda _region: client)("eu-west-1", PROFILE) == ("eu-west-1", "global")


@pytest.mark.parametrize(
    "answer",
    [
        {"models": []},
        {"models": [{"modelArn": "x"}]},
        {"models": [{"modelArn": "arn:aws:s3:::a"}]},
        {},
        {"models": [{}]},
    ],
)
def test_what_aws_doesn_t_tell_is_refused(answer: dict[str, Any]) -> None:
    client = Bedrock(lambda: answer)
    with pytest.raises(ValueError, match="can't be told"):
        resolver_of(lambda _region: client)("eu-west-1", PROFILE)


def test_what_aws_refuses_is_told() -> None:
    def refuse() -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetInferenceProfile")

    def forget() -> Any:
        raise NoCredentialsError

    for answer, reason in ((refuse, "AccessDeniedException"), (forget, "credentials")):
        with pytest.raises(ValueError, match=f"can't be looked up: .*{reason}"):
            resolver_of(functools.partial(_given, Bedrock(answer)))("eu-west-1", PROFILE)


def _given(client: Bedrock, _region: str) -> Bedrock:
    return client


def test_an_emulator_knows_no_profiles() -> None:
    assert profile_resolver(Target(None, None, None, "http://127.0.0.1:4566")) is None
    assert profile_resolver(Target("sallyport", None, "eu-west-1", None)) is not None

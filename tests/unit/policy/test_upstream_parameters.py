"""The upstream of stack parameters: what two of them together tell."""

import pytest

from sallyport.policy.upstream_parameters import read_upstream
from sallyport.policy.variables import ConfigurationError, Variables

HERE = {
    "SALLYPORT_UPSTREAM_BASE_URL": "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1",
    "SALLYPORT_UPSTREAM_REGION": "eu-west-1",
    "SALLYPORT_UPSTREAM_CONNECT_TIMEOUT_S": "5",
    "SALLYPORT_UPSTREAM_IDLE_TIMEOUT_S": "240",
}


def test_a_host_of_aws_in_the_region_is_taken() -> None:
    assert read_upstream(Variables(HERE)).region == "eu-west-1"


def test_a_host_of_aws_in_another_region_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is in eu-west-1, and SALLYPORT_UPSTREAM_REGION is not"):
        read_upstream(Variables({**HERE, "SALLYPORT_UPSTREAM_REGION": "us-east-1"}))

"""Asks AWS where Bedrock's inference profiles process: `policy apply` writes down what it is told."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from sallyport.policy.upstream_rules import GLOBAL
from sallyport_cli.policy.bedrock_models import Resolver
from sallyport_cli.target import Target

_REGION_OF_MODEL: Final = re.compile(r"arn:aws[a-z-]*:bedrock:(?P<region>[a-z0-9-]*)::foundation-model/.+")


def profile_resolver(target: Target) -> Resolver | None:
    """Give what asks the AWS that a target is in; None of an emulator, which knows no profiles."""
    if target.endpoint_url is not None:
        return None
    return resolver_of(lambda region: replace(target, region=region).client("bedrock"))


def resolver_of(client_of: Callable[[str], Any]) -> Resolver:
    """Give what asks each profile once; `client_of` makes boto3's `bedrock` client of a region."""

    @functools.cache
    def resolve(region: str, model_id: str) -> tuple[str, ...]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - boto3 is heavy

        try:
            profile = client_of(region).get_inference_profile(inferenceProfileIdentifier=model_id)
        except (BotoCoreError, ClientError) as error:
            raise ValueError(f"can't be looked up: {error}") from None
        return _destinations(profile)

    return resolve


def _destinations(profile: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the regions of a profile's models; an ARN without one stands for any.

    Source: Amazon Bedrock API reference, GetInferenceProfile, `models[].modelArn`.
    """
    matches = [_REGION_OF_MODEL.fullmatch(str(model.get("modelArn"))) for model in profile.get("models", ())]
    if not matches or None in matches:
        raise ValueError("can't be told: AWS names no regions of this profile")
    return tuple(sorted({match["region"] or GLOBAL for match in matches if match is not None}))

"""Where a model of Bedrock may process: by its id, what the document declares and what AWS tells. Nothing is guessed.

A model's own id stays in the region that is asked; an inference profile may move a request to every destination that
it has, which GetInferenceProfile tells when a policy is applied, or the document declares. A `global.` one may go
anywhere.

Source: Amazon Bedrock user guide, "Supported Regions and models for inference profiles".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from sallyport.policy.bedrock_ids import is_global, stays_in_region
from sallyport.policy.upstream_rules import GLOBAL

type Resolver = Callable[[str, str], Sequence[str]]
"""Takes a region and the id of an inference profile there; gives its regions, `GLOBAL` where it has no bounds.

Raises `ValueError` that says why they can't be told.
"""

_GEOGRAPHIES: Final[Mapping[str, str]] = {
    "us": "us-",
    "eu": "eu-",
    "apac": "ap-",
    "jp": "ap-northeast-",
    "au": "ap-southeast-",
    "ca": "ca-",
    "us-gov": "us-gov-",
}
"""What stands before the id of a geographic profile, and how the names of regions there begin."""
_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:bedrock:(?P<region>[a-z0-9-]*):(?P<account>[0-9]{12})?:(?P<kind>[a-z-]+)/(?P<id>.+)"
)
_PROFILE_KINDS: Final = ("inference-profile", "application-inference-profile")
_BOTH_WAYS: Final = "declare them in regions, or apply with --stack on AWS, where they are looked up"


def bedrock_regions(
    region: str, model_id: str, declared: Sequence[str] | None, resolve: Resolver | None
) -> tuple[str, ...]:
    """Give all regions in which a model asked of `region` may process, that one first, `GLOBAL` last.

    `resolve` None: there is no AWS to ask. Raises `ValueError` that says why they can't be told, or aren't as declared.
    """
    if declared is not None and region not in declared:
        raise ValueError(f"must have the upstream's own region, {region}")
    if is_global(model_id):
        return _global_regions(region, model_id, declared)
    if stays_in_region(model_id, region):
        return in_order(region, declared or ())
    geography = _profile_geography(region, model_id)
    found = None if resolve is None else in_order(region, resolve(region, model_id))
    if found is None:
        return _declared_profile(region, geography, declared)
    if declared is not None and set(declared) != set(found):
        raise ValueError(f"isn't what AWS tells of {model_id}: {', '.join(found)}")
    return found


def in_order(region: str, others: Iterable[str]) -> tuple[str, ...]:
    """Give the upstream's own region first, then the others by name, `GLOBAL` last."""
    rest = set(others) - {region}
    return (region, *sorted(rest - {GLOBAL}), *sorted(rest & {GLOBAL}))


def _global_regions(region: str, model_id: str, declared: Sequence[str] | None) -> tuple[str, ...]:
    _check_place_of_profile(region, model_id)
    if declared is not None and GLOBAL not in declared:
        raise ValueError(f"{model_id} may process anywhere: leave regions out, or have {GLOBAL} among them")
    return in_order(region, (GLOBAL, *(declared or ())))


def _declared_profile(region: str, geography: str, declared: Sequence[str] | None) -> tuple[str, ...]:
    if declared is None:
        raise ValueError(f"is missing: an inference profile may move requests to other regions; {_BOTH_WAYS}")
    if geography and set(declared) == {region}:
        raise ValueError(f"has one region alone, and an inference profile has several: {_BOTH_WAYS}")
    if geography and not any(place.startswith(_GEOGRAPHIES[geography]) for place in declared):
        raise ValueError(f"has no region of the geography {geography}")
    return in_order(region, declared)


def _profile_geography(region: str, model_id: str) -> str:
    """Give the geography of a profile, empty of one that its id doesn't tell. Raises `ValueError` for what is none."""
    arn = _ARN.fullmatch(model_id)
    if arn is not None and arn["kind"] == "foundation-model":
        raise ValueError(f"its model is one of another region than the upstream's, {region}")
    if arn is not None:
        _check_place_of_profile(region, model_id)
    if arn is not None and arn["kind"] == "application-inference-profile":
        return ""
    name = model_id if arn is None else arn["id"]
    geography, _, rest = name.partition(".")
    if geography not in _GEOGRAPHIES or "." not in rest:
        known = " ".join(f"{known}." for known in (*_GEOGRAPHIES, GLOBAL))
        reason = f"its model is neither a known vendor's id nor an inference profile ({known})"
        raise ValueError(f"{reason}, so it can't be told where it processes; an ARN would tell what it is")
    return geography


def _check_place_of_profile(region: str, model_id: str) -> None:
    arn = _ARN.fullmatch(model_id)
    if arn is None and model_id.startswith("arn:"):
        raise ValueError("its model is no ARN of Bedrock")
    if arn is not None and arn["kind"] not in _PROFILE_KINDS:
        raise ValueError(f"an ARN of the kind {arn['kind']} isn't taken: it can't be told where it processes")
    if arn is not None and arn["region"] != region:
        raise ValueError(f"its model is a profile of another region than the upstream's, {region}")

"""Data sovereignty: which of a model's targets a caller's data may go to."""

from collections.abc import Sequence
from typing import NamedTuple

from sallyport.errors import ResidencyViolationError


class Target(NamedTuple):
    """An upstream and the region it declares."""

    upstream: str
    region: str


def choose_target(targets: Sequence[Target], residency: Sequence[str]) -> Target:
    """Give the first target in one of the regions of `residency`.

    Raises `ResidencyViolationError` if there is none. No residency means nowhere, never anywhere.
    """
    for target in targets:
        if target.region in residency:
            return target
    raise ResidencyViolationError("No upstream for this model lies in a region that your data may go to.")

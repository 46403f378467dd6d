"""The document's models: what each costs, how long its answers may be, and where it is."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from sallyport.policy.limit_rules import Price
from sallyport_cli.policy import upstream_types as kinds
from sallyport_cli.policy.limit_types import PricePerMillion, picodollars
from sallyport_cli.policy.sections import Section

MAX_OUTPUT_TOKENS: Final = 10_000_000
MAX_TARGETS: Final = 20


class ModelPrice(Section):
    """US dollars per million tokens, with at most six decimals."""

    input: PricePerMillion = Field(description="Of the prompt.")
    output: PricePerMillion = Field(description="Of the answer; 0 of a model for embeddings.")
    cached_input: PricePerMillion | None = Field(
        default=None, description="Of what the upstream had in its cache. Default: as input."
    )

    def as_price(self) -> Price:
        """Give the price in picodollars per token."""
        cached = self.input if self.cached_input is None else self.cached_input
        return Price(*(picodollars(part) for part in (self.input, self.output, cached)))


class ModelTarget(Section):
    """One place where a model is."""

    upstream: kinds.TargetUpstream = Field(description="One of upstreams; default: the stack parameters'.")
    model: kinds.ModelId | None = Field(default=None, description="Its name there. Default: as clients call it.")
    regions: kinds.Places | None = Field(
        default=None, description="All regions in which it may process. Default: the upstream's."
    )
    price: ModelPrice | None = Field(default=None, description="US dollars per million tokens. Default: the model's.")

    def as_json(self, regions: tuple[str, ...] | None) -> dict[str, Any]:
        """Give the fields of `Target`, with these regions."""
        return {
            "upstream": self.upstream,
            "model": self.model or "",
            "regions": regions,
            "price": price_json(self.price),
        }


class Model(Section):
    """One model on offer."""

    max_output_tokens: int | None = Field(
        default=None, ge=1, le=MAX_OUTPUT_TOKENS, description="Reserved for an answer of unsaid length."
    )
    price: ModelPrice | None = Field(default=None, description="US dollars per million tokens.")
    targets: Annotated[tuple[ModelTarget, ...], Field(strict=False)] = Field(
        default=(), max_length=MAX_TARGETS, description="Where it is, the most wanted first."
    )


def price_json(price: ModelPrice | None) -> dict[str, int] | None:
    """Give the fields of `Price`."""
    return None if price is None else price.as_price()._asdict()

"""Where a Bedrock model id may be processed, judged by its name alone.

At the stack parameters' upstream a model's name may be the client's own, and no one has looked it up when a policy was
applied. An inference profile's name leads to other regions, so only names that stay pass (Amazon Bedrock user guide,
"Supported Regions and models for inference profiles").
"""

import re

from sallyport.policy.upstream_rules import GLOBAL, UpstreamRules

VENDORS = frozenset(
    {
        *("ai21", "amazon", "anthropic", "cohere", "deepseek", "google", "luma", "meta", "minimax", "mistral"),
        *("moonshot", "moonshotai", "nvidia", "openai", "qwen", "stability", "twelvelabs", "writer", "zai"),
    }
)
"""What the id of a foundation model begins with. An unknown beginning might be a geography, so it doesn't pass."""

_MODEL_ID = re.compile(r"(?P<anywhere>global\.)?(?P<vendor>[a-z0-9]+)\.[A-Za-z0-9][A-Za-z0-9.:_-]*")


def default_regions(upstream: UpstreamRules, model: str) -> tuple[str, ...]:
    """Give the regions in which the stack parameters' upstream may process a model; none if they can't be known."""
    own = (upstream.region,)
    if upstream.provider != "bedrock":
        return own
    found = _MODEL_ID.fullmatch(model)
    if found is None or found["vendor"] not in VENDORS:
        return ()
    return (*own, GLOBAL) if found["anywhere"] else own

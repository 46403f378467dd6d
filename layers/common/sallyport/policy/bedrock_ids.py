"""What a Bedrock model id tells of where it processes: only a vendor's own id is sure to stay in its region.

An id with a geography before it is an inference profile, which may move a request to other regions of that geography,
and `global.` to any. Whatever isn't plainly a model's own id is taken for something that may go anywhere.

Source: Amazon Bedrock user guide, "Increase throughput with cross-Region inference".
"""

import re

from sallyport.policy.upstream_rules import GLOBAL, UpstreamRules

VENDORS = frozenset({
    "ai21", "amazon", "anthropic", "cohere", "deepseek", "google", "luma", "meta", "minimax", "mistral", "moonshot",
    "moonshotai", "nvidia", "openai", "qwen", "stability", "twelvelabs", "writer", "zai",
})  # fmt: skip
"""What a model's own id begins with. Of any other vendor, the ARN of the foundation model says that it is one."""
_MODEL = re.compile(r"(?P<vendor>[a-z0-9]+)\.[A-Za-z0-9][A-Za-z0-9._:-]*")
_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:(?P<region>[a-z0-9-]+)::foundation-model/[A-Za-z0-9][A-Za-z0-9._:-]*")

_AT_BEDROCK = re.compile(
    r"https://(?:[a-z0-9-]+\.)?bedrock-[a-z-]+\.[a-z0-9.-]+\.(?:amazonaws\.com(?:\.cn)?|api\.aws)(?:[:/]|$)",
    re.IGNORECASE,
)


def stays_in_region(model_id: str, region: str) -> bool:
    """Say whether a model asked of this region by this id is sure to be run there."""
    arn = _ARN.fullmatch(model_id)
    if arn is not None:
        return arn["region"] == region
    match = _MODEL.fullmatch(model_id)
    return match is not None and match["vendor"] in VENDORS


def is_global(model_id: str) -> bool:
    """Say whether an id is that of a profile which may run a model in any region, whatever anybody declares."""
    return model_id.rpartition("/")[2].startswith("global.")


def is_at_bedrock(provider: str, base_url: str) -> bool:
    """Say whether an upstream's models are Bedrock's: also by its OpenAI-compatible API, which has another provider."""
    return provider == "bedrock" or _AT_BEDROCK.match(base_url) is not None


def regions_by_name(upstream: UpstreamRules, model_id: str) -> tuple[str, ...]:
    """Give where a model of an upstream may process as far as its id tells, where nobody declared anything.

    That is the upstream's region, and of a Bedrock model that may leave it `GLOBAL` too: nobody knows where it goes.
    """
    if is_at_bedrock(upstream.provider, upstream.base_url) and not stays_in_region(model_id, upstream.region):
        return (upstream.region, GLOBAL)
    return (upstream.region,)

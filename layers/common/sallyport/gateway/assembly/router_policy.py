"""The policy as routes read it, put together."""

from collections.abc import Callable, Mapping
from typing import Any

from sallyport.adapters.aws_client import AwsCall
from sallyport.adapters.dynamodb_policy import DynamoDbPolicyStore
from sallyport.observability.log import Logger
from sallyport.policy.current import CurrentPolicy
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.router_rules import merge_router


def router_policy(
    dynamodb: AwsCall,
    table: str,
    refresh_s: float,
    parameters: RouterRules,
    logger: Logger,
    now: Callable[[], float],
) -> CurrentPolicy[RouterRules]:
    """Give the policy in force for a route: `parameters`, and the document that is applied in the config table."""

    def build(compiled: Mapping[str, Any] | None, version: int) -> RouterRules:
        return merge_router(parameters, compiled, version)

    def tell(reason: str) -> None:
        logger.metric("PolicyRefreshFailure", 1)
        logger.error("policy refresh failed; the last good one stays in force", reason=reason)

    return CurrentPolicy(DynamoDbPolicyStore(dynamodb, table), build, refresh_s, now=now, tell=tell)

"""The canaries of one function, put together."""

from collections.abc import Callable

from sallyport.adapters.aws_client import AwsClient
from sallyport.adapters.dynamodb_canaries import DynamoDbCanaryStateStore
from sallyport.adapters.dynamodb_canary_counts import DynamoDbCanaryCounts
from sallyport.gateway.canary_outcomes import OutcomeCounter
from sallyport.gateway.canarying import Canaries
from sallyport.observability.log import Logger
from sallyport.policy.canary_states import CurrentCanaries
from sallyport.policy.parameters import AppSettings, RouterSettings


def make_canaries(
    settings: RouterSettings | AppSettings, dynamodb: AwsClient, logger: Logger, now: Callable[[], float]
) -> Canaries:
    """Give the canaries. Nothing is read before the policy has one."""

    def tell_refresh(reason: str) -> None:
        logger.metric("PolicyRefreshFailure", 1)
        logger.error("the canaries' states can't be read; the last good ones stay in force", reason=reason)

    def tell_count(reason: str) -> None:
        logger.warning("a canary's outcome was not counted", reason=reason)

    states = CurrentCanaries(
        DynamoDbCanaryStateStore(dynamodb, settings.config_table), settings.policy_refresh_s, now, tell_refresh
    )
    counter = OutcomeCounter(DynamoDbCanaryCounts(dynamodb, settings.counters_table), now, tell_count)
    return Canaries(states, counter, logger, settings.home_region, settings.stack, now)

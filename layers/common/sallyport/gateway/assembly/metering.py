"""The limits of one function, put together."""

from collections.abc import Callable

from sallyport.adapters.aws_client import AwsClient
from sallyport.adapters.dynamodb_counters import DynamoDbCounterStore
from sallyport.adapters.dynamodb_totals import DynamoDbTotalsStore
from sallyport.gateway.metering import Metering
from sallyport.limits.admission import Admission
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.rules import Cost, Receipt
from sallyport.limits.sliding import SlidingLimiter
from sallyport.limits.totals import UsageTotals
from sallyport.observability.log import Logger
from sallyport.policy.limit_parameters import LimitSettings

type Clock = Callable[[], float]


def make_metering(
    limits: LimitSettings, counters_table: str, dynamodb: AwsClient, logger: Logger, now: Clock
) -> Metering:
    """Give what charges and settles the requests of one function."""

    def tell(reason: str) -> None:
        logger.warning("usage was not added to the totals", reason=reason)

    totals = UsageTotals(DynamoDbTotalsStore(dynamodb, counters_table), tell)
    admission = _admission(counters_table, dynamodb, logger, now)
    return Metering(admission, totals, logger, limits.max_output_tokens, now)


def _admission(counters_table: str, dynamodb: AwsClient, logger: Logger, now: Clock) -> Admission:
    store = DynamoDbCounterStore(dynamodb, counters_table)

    def now_ms() -> int:
        return int(now() * 1000)

    def tell_fallback(reason: str) -> None:
        logger.metric("LimitStoreFailure", 1)
        logger.warning("the counters table can't be asked: limits count in memory, or refuse", reason=reason)

    def tell_unsettled(receipt: Receipt, changes: Cost, reason: str) -> None:
        logger.metric("SettlementFailure", 1)
        units = [f"{unit} {change}" for unit, change in changes.items()]
        logger.warning("a charge was not settled", reason=reason, member=receipt.member, changes=units)

    return Admission(
        SlidingLimiter(store, now_ms),
        lambda: SlidingLimiter(MemoryCounterStore(), now_ms),
        now_ms,
        tell_fallback,
        tell_unsettled,
    )

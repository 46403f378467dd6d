"""The audit trail of one function instance, put together."""

import time
from collections.abc import Callable

from sallyport.adapters.aws_client import AwsCall
from sallyport.adapters.dynamodb_anchors import DynamoDbAnchorStore
from sallyport.gateway.assembly.environment import Environ
from sallyport.observability.audit import AuditTrail, new_chain
from sallyport.observability.log import Logger


def make_trail(
    environ: Environ,
    dynamodb: AwsCall,
    table: str,
    retention_days: int,
    logger: Logger,
    now: Callable[[], float] = time.time,
) -> AuditTrail:
    """Give a new chain, anchored in `table`."""

    def tell(reason: str) -> None:
        logger.metric("AuditAnchorFailure", 1)
        logger.error("the audit chain was not anchored; it is tried again after the next request", reason=reason)

    chain = new_chain(environ.get("AWS_LAMBDA_FUNCTION_NAME", "local"))
    anchors = DynamoDbAnchorStore(dynamodb, table, retention_days)
    return AuditTrail(logger.audit, chain, now, anchors, tell, environ.get("AWS_REGION", ""))

"""Responses that an upstream keeps: they belong to one tenant, and are gone on from at the target that keeps them."""

from collections.abc import Mapping
from typing import Any

from sallyport.errors import UnsupportedFieldError
from sallyport.gateway.arms import Arm
from sallyport.gateway.forwarding import Answer
from sallyport.observability.log import Logger
from sallyport.providers.openai_responses import response_id
from sallyport.providers.provider import RESPONSES
from sallyport.routing.stored_responses import Owner, ResponseStore, StoreUnavailableError, check_ownership


def kept_by(stored: ResponseStore | None, operation: str, body: Mapping[str, Any], tenant: str) -> str | None:
    """Give the id of the target that keeps the response which is gone on from, where the request names one.

    Raises as `check_ownership` does.
    """
    previous = body.get("previous_response_id")
    if operation != RESPONSES or previous is None or stored is None:
        return None
    return check_ownership(stored, previous, tenant)


def is_kept(operation: str, body: Mapping[str, Any]) -> bool:
    """Say whether the client has the response kept, if the upstream may: OpenAI does unless it is told not to."""
    return operation == RESPONSES and body.get("store") is not False


def keeping(arm: Arm | None, target_id: str | None) -> Arm | None:
    """Give an arm with the one target that keeps a response, or as it is for none; None: it isn't kept there."""
    if arm is None or target_id is None:
        return arm
    targets = [target for target in arm.targets if target.id == target_id]
    return arm._replace(targets=targets) if targets else None


def known(arm: Arm | None) -> Arm:
    """Give the arm that keeps a response. Raises `UnsupportedFieldError` where none does."""
    if arm is None:
        raise UnsupportedFieldError("The previous response isn't at this model's target.", param="previous_response_id")
    return arm


def remember_owner(stored: ResponseStore | None, answer: Answer, tenant: str, logger: Logger) -> None:
    """Have it remembered whose a response is that the upstream keeps, before its client can name it."""
    sending = answer.sending
    if stored is None or not sending.upstream.rules.store or sending.call.body.get("store") is False:
        return

    def look(chunk: bytes) -> bool:
        identifier = response_id(chunk)
        if identifier is None:
            return False
        try:
            stored.write(identifier, Owner(tenant, sending.target.id))
        except StoreUnavailableError as error:
            logger.warning("a stored response has no owner, so nobody can go on from it", reason=str(error))
        return True

    if answer.status < 300:  # noqa: PLR2004 - HTTP
        answer.passage.watch(look)

"""Who owns a response that an upstream keeps: one key there serves every tenant, so the upstream can't tell.

A request may go on from a response (`previous_response_id`) only for the tenant that it was made for, and only at the
target that has it.
"""

from typing import NamedTuple, Protocol

from sallyport.errors import ServiceUnavailableError, UnsupportedFieldError


class StoreUnavailableError(Exception):
    """The table can't be asked. The message is an error code, for the log."""


class Owner(NamedTuple):
    """Whose a stored response is, and the id of the target that keeps it."""

    tenant: str
    target: str


class ResponseStore(Protocol):
    """Remembers owners; an adapter keeps them in a table, by a digest of the response's id."""

    def read(self, response_id: str) -> Owner | None:
        """Give the owner, None for an id that isn't known. Raises `StoreUnavailableError`."""

    def write(self, response_id: str, owner: Owner) -> None:
        """Keep an owner for as long as OpenAI keeps a response. Raises `StoreUnavailableError`."""


def check_ownership(store: ResponseStore, response_id: str, tenant: str) -> str:
    """Give the id of the target that keeps a response of this tenant's.

    Raises `UnsupportedFieldError`, the same for an id that nobody has and for another tenant's, and
    `ServiceUnavailableError` where that can't be found out.
    """
    try:
        owner = store.read(response_id)
    except StoreUnavailableError:
        raise ServiceUnavailableError("The gateway can't look up the previous response at the moment.") from None
    if owner is None or owner.tenant != tenant:
        raise UnsupportedFieldError("No response of this id is known here.", param="previous_response_id")
    return owner.target

"""POST /v1/messages."""

from sallyport.gateway.assembly.provider_route import provider_route
from sallyport.gateway.entry import Entry
from sallyport.gateway.operations import MESSAGES

handler = Entry(provider_route(MESSAGES))
init = handler.init

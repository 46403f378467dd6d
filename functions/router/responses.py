"""POST /v1/responses."""

from sallyport.gateway.assembly.provider_route import provider_route
from sallyport.gateway.entry import Entry
from sallyport.gateway.operations import RESPONSES

handler = Entry(provider_route(RESPONSES))
init = handler.init

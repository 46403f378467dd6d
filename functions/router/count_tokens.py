"""POST /v1/messages/count_tokens."""

from sallyport.gateway.assembly.provider_route import provider_route
from sallyport.gateway.entry import Entry
from sallyport.gateway.operations import COUNT_TOKENS

handler = Entry(provider_route(COUNT_TOKENS))
init = handler.init

"""POST /v1/chat/completions."""

from sallyport.gateway.assembly.provider_route import provider_route
from sallyport.gateway.entry import Entry
from sallyport.gateway.operations import CHAT_COMPLETIONS

handler = Entry(provider_route(CHAT_COMPLETIONS))
init = handler.init

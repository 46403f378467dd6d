"""POST /v1/embeddings."""

from sallyport.gateway.assembly.provider_route import provider_route
from sallyport.gateway.entry import Entry
from sallyport.gateway.operations import EMBEDDINGS

handler = Entry(provider_route(EMBEDDINGS))
init = handler.init

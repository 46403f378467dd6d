"""GET /v1/models and /v1/models/{model}."""

from sallyport.gateway.assembly.plain_route import models_route
from sallyport.gateway.entry import Entry

handler = Entry(models_route)
init = handler.init

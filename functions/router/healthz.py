"""GET /healthz, the one route without a credential."""

from sallyport.gateway.assembly.plain_route import health_route
from sallyport.gateway.entry import Entry

handler = Entry(health_route)
init = handler.init

"""Every path and method that is no route: 404 or 405, behind the authorizer."""

from sallyport.gateway.assembly.plain_route import unmatched_route
from sallyport.gateway.entry import Entry

handler = Entry(unmatched_route)
init = handler.init

"""Any method on /apps/{name} and all below it: the operator's own apps."""

from sallyport.gateway.assembly.app_route import app_route
from sallyport.gateway.entry import Entry

handler = Entry(app_route())
init = handler.init

"""The authorizer: who calls, and from where."""

from sallyport.gateway.assembly.authorizer import authorizer
from sallyport.gateway.entry import Entry

handler = Entry(authorizer)
init = handler.init

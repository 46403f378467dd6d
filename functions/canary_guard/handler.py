"""The canary guard: compares the arms of every canary, on a schedule."""

from sallyport.gateway.assembly.canary_guard import canary_guard
from sallyport.gateway.entry import Entry

handler = Entry(canary_guard)
init = handler.init

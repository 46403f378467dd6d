"""Puts each function together from its environment: the one place where rooms meet adapters.

One module per kind of function, so that none imports what only another needs.
"""

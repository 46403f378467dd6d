"""Speaks Lambda's Runtime API in place of the managed runtime's client, which can't stream from Python.

Importing it is part of every cold start, so it needs `json` and `socket` and nothing heavier: no typing, dataclasses,
logging, traceback or http.client (`make bench` measures it).
"""

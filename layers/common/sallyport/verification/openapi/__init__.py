"""Requests to an operator's own application, and its answers, held to that application's OpenAPI document."""

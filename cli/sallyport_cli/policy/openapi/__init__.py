"""An application's OpenAPI document, checked and compiled when a policy is: the functions get plain JSON."""

from sallyport_cli.policy.openapi.compiling import compile_openapi

__all__ = ["compile_openapi"]

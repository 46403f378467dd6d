"""The routes without an upstream, put together."""

from sallyport.gateway.assembly.environment import Environ, make_logger
from sallyport.gateway.plain_routes import Answer, PlainRoute, answer_health, answer_unmatched, list_models
from sallyport.policy.parameters import read_plain_settings


def models_route(environ: Environ) -> PlainRoute:
    """Make `GET /v1/models` and `/v1/models/{model}`."""
    return _plain_route(environ, "models", list_models(read_plain_settings(environ)))


def health_route(environ: Environ) -> PlainRoute:
    """Make `GET /healthz`."""
    return _plain_route(environ, "healthz", answer_health)


def unmatched_route(environ: Environ) -> PlainRoute:
    """Make the answer to all that isn't a route."""
    return _plain_route(environ, "unmatched", answer_unmatched)


def _plain_route(environ: Environ, name: str, answer: Answer) -> PlainRoute:
    settings = read_plain_settings(environ)
    return PlainRoute(name, answer, settings, make_logger(environ, settings.log_level))

"""The routes without an upstream: the list of models, health, and all that isn't a route."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol
from urllib.parse import unquote

from sallyport.errors import (
    InsufficientScopeError,
    InternalError,
    MethodNotAllowedError,
    ModelNotFoundError,
    NotFoundError,
    SallyportError,
    ServiceUnavailableError,
)
from sallyport.gateway.answers import buffered_error, buffered_json
from sallyport.gateway.error_shapes import shape_for_path
from sallyport.gateway.record import RequestRecord
from sallyport.gateway.request import Request, read_principal, read_request
from sallyport.observability.log import Logger
from sallyport.policy.current import PolicyUnavailableError
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.parameters import PlainSettings
from sallyport.routing.residency import Caller, check_home

ROUTES: Mapping[str, tuple[str, ...]] = {
    "/healthz": ("GET",),
    "/v1/chat/completions": ("POST",),
    "/v1/responses": ("POST",),
    "/v1/embeddings": ("POST",),
    "/v1/messages": ("POST",),
    "/v1/messages/count_tokens": ("POST",),
    "/v1/models": ("GET",),
    "/v1/models/{model}": ("GET",),
}
"""Every route and its methods; whatever else arrives is `unmatched`."""


class Policy(Protocol):
    """The policy in force; `policy.current.CurrentPolicy` is one."""

    def get(self) -> RouterRules:
        """Give what a route goes by. Raises `PolicyUnavailableError`."""


type Answer = Callable[[Request, RequestRecord], Any]


class PlainRoute:
    """Serves a buffered route: `answer` gives the JSON body of a 200, or raises a `SallyportError`.

    `begin` is told first how many seconds the invocation has left; `later` is run after each response.
    """

    def __init__(
        self,
        name: str,
        answer: Answer,
        settings: PlainSettings,
        logger: Logger,
        *,
        begin: Callable[[float], None] | None = None,
        later: Callable[[], None] | None = None,
    ) -> None:
        self._begin = begin
        self._later = later
        self._name = name
        self._answer = answer
        self._settings = settings
        self._logger = logger

    def __call__(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """Answer one proxy event. Where the runtime isn't ours, no time after the response can be had."""
        if self._begin is not None:
            self._begin(context.get_remaining_time_in_millis() / 1000)
        if self._later is not None and hasattr(context, "after_response"):
            context.after_response(self._later)
        request_id = str((event.get("requestContext") or {}).get("requestId", ""))
        headers = {"x-request-id": request_id, "x-sallyport-region": self._settings.home_region}
        record = RequestRecord(self._logger, request_id, self._name)
        try:
            answer = buffered_json(200, self._answer(read_request(event), record), headers)
        except SallyportError as error:
            answer = self._refuse(error, event, headers)
            record.note_error(error)
        except Exception as error:  # noqa: BLE001 - the last resort: an answer in the route's shape, the log knows more
            record.note_failure(error)
            answer = self._refuse(InternalError("The gateway failed; see its log."), event, headers)
        record.note(status=answer["statusCode"])
        record.bytes_out = len(answer["body"].encode())
        record.emit()
        return answer

    def _refuse(self, error: SallyportError, event: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        return buffered_error(error, shape_for_path(str(event.get("path", ""))), headers)


def list_models(policy: Policy, home_region: str) -> Answer:
    """Give the answer of `GET /v1/models` and `/v1/models/{model}`: what this caller may use of the policy's models.

    Where every model is on offer nobody knows them; then a caller sees those that it is allowed by name. Whose data
    mayn't be handled in `home_region` is told where to go, as on every route.
    """

    def answer(request: Request, record: RequestRecord) -> Any:
        principal, rules = read_principal(request), _rules(policy)
        check_home(Caller(principal.tenant, principal.residency), home_region, rules.endpoints)
        record.note_principal(principal)
        if "models" not in principal.scopes:
            raise InsufficientScopeError("This credential lacks the scope 'models'.")
        visible = _visible(rules.models, principal.models)
        shown = _anthropic_model if "anthropic-version" in request.headers else _model
        if "model" not in request.path_parameters:
            return _listed([shown(model) for model in visible])
        model = unquote(request.path_parameters["model"])  # a REST API leaves a path as it came
        if model not in visible:
            raise ModelNotFoundError("This model does not exist, or you do not have access to it.", param="model")
        return shown(model)

    return answer


def _rules(policy: Policy) -> RouterRules:
    try:
        return policy.get()
    except PolicyUnavailableError:
        raise ServiceUnavailableError("The gateway's policy can't be read at the moment.") from None


def _visible(on_offer: Collection[str] | None, permitted: Collection[str] | None) -> list[str]:
    if on_offer is None:
        return list(permitted or ())
    return [model for model in on_offer if permitted is None or model in permitted]


def answer_health(request: Request, record: RequestRecord) -> Any:
    """Answer `GET /healthz`: the function runs; nothing is told about what stands behind it."""
    del request, record
    return {"status": "ok"}


def answer_unmatched(request: Request, record: RequestRecord) -> Any:
    """Answer all that isn't a route: 405 if another method would be one, 404 otherwise."""
    record.note(method=request.method, resource=request.resource)
    methods = ROUTES.get(request.resource)
    if methods is None:
        raise NotFoundError("There is no such route.")
    raise MethodNotAllowedError("This route doesn't take this method.", headers={"allow": ", ".join(methods)})


def _listed(models: list[dict[str, Any]]) -> dict[str, Any]:
    """Give one whole page, in OpenAI's form and in Anthropic's at once."""
    ids = [model["id"] for model in models]
    ends = {"first_id": ids[0], "last_id": ids[-1]} if ids else {"first_id": None, "last_id": None}
    return {"object": "list", "data": models, "has_more": False, **ends}


def _anthropic_model(name: str) -> dict[str, Any]:
    """A model as Anthropic lists it."""
    return {"id": name, "type": "model", "display_name": name, "created_at": "1970-01-01T00:00:00Z"}


def _model(name: str) -> dict[str, Any]:
    """A model as OpenAI lists it; the gateway doesn't know when it was made."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "sallyport"}

"""The stack that `sallyport local` runs: what of template.yaml matters on one machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from sallyport_cli.local.intrinsics import Resolver, Scope
from sallyport_cli.local.parameters import ParameterValue, resolve_parameters
from sallyport_cli.local.schedules import Schedule, read_rate
from sallyport_cli.local.template_file import TemplateError, read_template
from sallyport_cli.local.template_models import (
    ApiEventProperties,
    ApiProperties,
    FunctionProperties,
    GatewayResponse,
    LambdaAuthorizer,
    ScheduleEventProperties,
    Table,
)

BUFFERED_TIMEOUT_MS: Final = 29_000
WRAPPER_VARIABLE: Final = "AWS_LAMBDA_EXEC_WRAPPER"


@dataclass(frozen=True)
class Function:
    """A function as Lambda would run it."""

    logical_id: str
    name: str
    handler: str
    code_dir: Path
    wrapper: Path
    timeout_s: float
    memory_mb: int
    environment: Mapping[str, str]

    @property
    def layer_dir(self) -> Path:
        """Where the layer's package lies in the checkout; /opt in Lambda."""
        return self.wrapper.parent


@dataclass(frozen=True)
class Route:
    """One method of one API Gateway resource."""

    resource: str
    method: str
    function: str
    authorized: bool
    streamed: bool
    timeout_s: float


@dataclass(frozen=True)
class Stack:
    """Everything of the template that matters locally, with nothing left to resolve."""

    name: str
    region: str
    stage: str
    functions: Mapping[str, Function]
    routes: tuple[Route, ...]
    authorizer: str | None
    gateway_responses: Mapping[str, GatewayResponse]
    stage_variables: Mapping[str, str]
    tables: Mapping[str, Table]
    parameters: Mapping[str, ParameterValue]
    schedules: tuple[Schedule, ...] = ()


def load_stack(
    template: Path,
    given: Mapping[str, str],
    *,
    name: str = "sallyport",
    region: str = "us-east-1",
    defaults: Mapping[str, str] | None = None,
) -> Stack:
    """Reads `template` with the parameters `given`; raises `TemplateError` for what can't be run locally.

    `defaults` stand in for the template's own, where it has such a parameter.
    """
    document = read_template(template)
    declared = document.get("Parameters") or {}
    usual = {parameter: value for parameter, value in (defaults or {}).items() if parameter in declared}
    parameters = resolve_parameters(declared, {**usual, **given})
    reader = _StackReader(document, template.resolve().parent, parameters, name, region)
    reader.check_rules(document.get("Rules") or {})
    return reader.read()


class _StackReader:
    def __init__(
        self,
        document: Mapping[str, Any],
        root: Path,
        parameters: Mapping[str, ParameterValue],
        name: str,
        region: str,
    ) -> None:
        self._root = root
        self._resources: Mapping[str, Any] = document["Resources"]
        self._globals = document.get("Globals") or {}
        self._scope = Scope(
            stack_name=name,
            region=region,
            parameters=parameters,
            resources=self._resources,
            mappings=document.get("Mappings") or {},
            conditions=document.get("Conditions") or {},
            function_defaults=self._globals.get("Function") or {},
        )
        self._resolver = Resolver(self._scope)

    def check_rules(self, rules: Mapping[str, Any]) -> None:
        """Checks what the template's Rules say of the parameters together; raises `TemplateError`."""
        for name, rule in rules.items():
            place = f"Rules.{name}"
            if "RuleCondition" in rule and not self._resolver.resolve(rule["RuleCondition"], place):
                continue
            for assertion in rule["Assertions"]:
                if not self._resolver.resolve(assertion["Assert"], place):
                    raise TemplateError(place, assertion.get("AssertDescription", "an assertion fails"))

    def read(self) -> Stack:
        api = self._read_api()
        functions = {
            logical_id: self._read_function(logical_id) for logical_id in self._ids("AWS::Serverless::Function")
        }
        return Stack(
            name=self._scope.stack_name,
            region=self._scope.region,
            stage=api.StageName,
            functions=functions,
            routes=tuple(route for logical_id in functions for route in self._read_routes(logical_id, api)),
            authorizer=self._read_authorizer(api, functions),
            gateway_responses=api.GatewayResponses,
            stage_variables=api.Variables,
            tables={table: self._read_table(table) for table in self._ids("AWS::DynamoDB::Table")},
            parameters=self._scope.parameters,
            schedules=tuple(each for logical_id in functions for each in self._read_schedules(logical_id)),
        )

    def _ids(self, kind: str) -> list[str]:
        return [
            logical_id
            for logical_id, resource in self._resources.items()
            if resource.get("Type") == kind and self._exists(logical_id, resource)
        ]

    def _exists(self, logical_id: str, resource: Mapping[str, Any]) -> bool:
        condition = resource.get("Condition")
        return condition is None or self._resolver.condition(condition, f"Resources.{logical_id}.Condition")

    def _model[M: BaseModel](self, kind: type[M], raw: Any, place: str) -> M:
        """`raw` resolved, as far as `kind` has a use for it, and validated."""
        wanted = {key: raw[key] for key in kind.model_fields if isinstance(raw, Mapping) and key in raw}
        try:
            return kind.model_validate(self._resolver.resolve(wanted, place))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise TemplateError(f"{place}.{where}", first["msg"]) from None

    def _read_api(self) -> ApiProperties:
        ids = self._ids("AWS::Serverless::Api")
        if len(ids) != 1:
            raise TemplateError("Resources", f"one AWS::Serverless::Api is needed, {len(ids)} found")
        raw = _merge(self._globals.get("Api") or {}, self._resources[ids[0]].get("Properties") or {})
        place = f"Resources.{ids[0]}"
        if "DefinitionBody" in raw or "DefinitionUri" in raw:
            raise TemplateError(place, "an API made from an OpenAPI definition isn't supported locally")
        api = self._model(ApiProperties, raw, place)
        if api.BinaryMediaTypes:
            raise TemplateError(
                f"{place}.BinaryMediaTypes", "bodies are text locally; binary media types aren't supported"
            )
        return api

    def _read_function(self, logical_id: str) -> Function:
        place = f"Resources.{logical_id}"
        properties = self._model(FunctionProperties, self._function_properties(logical_id), place)
        environment = dict(properties.Environment.Variables)
        return Function(
            logical_id=logical_id,
            name=properties.FunctionName or f"{self._scope.stack_name}-{logical_id}",
            handler=properties.Handler,
            code_dir=(self._root / properties.CodeUri).resolve(),
            wrapper=self._find_wrapper(place, properties.Layers, environment),
            timeout_s=properties.Timeout,
            memory_mb=properties.MemorySize,
            environment=environment,
        )

    def _function_properties(self, logical_id: str) -> dict[str, Any]:
        own = self._resources[logical_id].get("Properties") or {}
        return _merge(self._globals.get("Function") or {}, own)

    def _find_wrapper(self, place: str, layers: list[str], environment: Mapping[str, str]) -> Path:
        """The exec wrapper in the checkout: /opt is where Lambda unpacks the layers."""
        variable = environment.get(WRAPPER_VARIABLE, "")
        if not variable.startswith("/opt/"):
            raise TemplateError(f"{place}.Environment", f"{WRAPPER_VARIABLE} must name a file of a layer, under /opt")
        for layer in layers:
            content = self._resources.get(layer, {}).get("Properties", {}).get("ContentUri")
            candidate = self._root / str(content) / variable.removeprefix("/opt/")
            if isinstance(content, str) and candidate.is_file():
                return candidate.resolve()
        raise TemplateError(f"{place}.Layers", f"no layer holds {variable}")

    def _read_routes(self, logical_id: str, api: ApiProperties) -> list[Route]:
        return [self._read_route(logical_id, api, raw, place) for raw, place in self._events(logical_id, "Api")]

    def _read_schedules(self, logical_id: str) -> list[Schedule]:
        """Those that are enabled."""
        read = [
            (self._model(ScheduleEventProperties, raw, place), place)
            for raw, place in self._events(logical_id, "Schedule")
        ]
        return [Schedule(logical_id, read_rate(e.Schedule, place)) for e, place in read if e.State == "ENABLED"]

    def _events(self, logical_id: str, kind: str) -> list[tuple[Any, str]]:
        """A function's events of one kind, each with its place."""
        events = self._function_properties(logical_id).get("Events") or {}
        return [
            (event.get("Properties") or {}, f"Resources.{logical_id}.Events.{name}")
            for name, event in events.items()
            if event.get("Type") == kind
        ]

    def _read_route(self, logical_id: str, api: ApiProperties, raw: Any, place: str) -> Route:
        event = self._model(ApiEventProperties, raw, place)
        authorizer = event.Auth.Authorizer or api.Auth.DefaultAuthorizer or "NONE"
        return Route(
            resource=event.Path,
            method=event.Method.upper(),
            function=logical_id,
            authorized=authorizer != "NONE",
            streamed=event.ResponseTransferMode == "RESPONSE_STREAM",
            timeout_s=(event.TimeoutInMillis or BUFFERED_TIMEOUT_MS) / 1000,
        )

    def _read_authorizer(self, api: ApiProperties, functions: Mapping[str, Function]) -> str | None:
        if api.Auth.DefaultAuthorizer in (None, "NONE"):
            return None
        place = f"Auth.Authorizers.{api.Auth.DefaultAuthorizer}"
        authorizer = api.Auth.Authorizers.get(str(api.Auth.DefaultAuthorizer))
        if authorizer is None:
            raise TemplateError(place, "the default authorizer isn't a Lambda authorizer of this API")
        return _check_authorizer(place, authorizer, functions)

    def _read_table(self, logical_id: str) -> Table:
        raw = self._resources[logical_id].get("Properties") or {}
        table = self._model(Table, raw, f"Resources.{logical_id}")
        return table.model_copy(update={"TableName": table.TableName or logical_id})


def _check_authorizer(place: str, authorizer: LambdaAuthorizer, functions: Mapping[str, Function]) -> str:
    """The logical id of the authorizer's function, if it is of the one kind that is emulated."""
    if authorizer.FunctionPayloadType != "REQUEST":
        raise TemplateError(place, "only authorizers of type REQUEST are supported locally")
    identity = authorizer.Identity
    if identity.ReauthorizeEvery != 0 or identity.Headers or identity.QueryStrings:
        raise TemplateError(place, "authorizers that cache or name identity sources aren't supported locally")
    name, *_ = authorizer.FunctionArn.rpartition(":function:")[2].split(":")  # an alias may follow
    for logical_id, function in functions.items():
        if function.name == name:
            return logical_id
    raise TemplateError(place, f"no function of the template is {authorizer.FunctionArn}")


def _merge(default: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """SAM's rule for Globals: mappings are merged, lists joined, anything else replaced."""
    merged = {**default, **own}
    for key in default.keys() & own.keys():
        merged[key] = _merge_values(default[key], own[key])
    return merged


def _merge_values(default: Any, own: Any) -> Any:
    if isinstance(default, Mapping) and isinstance(own, Mapping) and not _is_intrinsic(own):
        return _merge(default, own)
    if isinstance(default, list) and isinstance(own, list):
        return [*default, *own]
    return own


def _is_intrinsic(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))

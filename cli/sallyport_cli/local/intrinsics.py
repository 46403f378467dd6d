"""CloudFormation's intrinsic functions, resolved for one machine; what can't be is refused, never guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sallyport_cli.local.parameters import ParameterValue
from sallyport_cli.local.template_file import TemplateError

ACCOUNT_ID: Final = "123456789012"
API_ID: Final = "local"
_ALIAS: Final = ".Alias"
_SUB_VARIABLE = re.compile(r"\$\{([^}]+)\}")
_NO_VALUE: Final = object()


@dataclass(frozen=True)
class Scope:
    """What intrinsics may refer to."""

    stack_name: str
    region: str
    parameters: Mapping[str, ParameterValue]
    resources: Mapping[str, Any]
    mappings: Mapping[str, Any]
    conditions: Mapping[str, Any]
    function_defaults: Mapping[str, Any] = field(default_factory=dict)


class Resolver:
    """Replaces intrinsics in a part of the template by plain values."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._functions: dict[str, Callable[[Any, str], Any]] = {
            "Ref": self._ref,
            "Fn::Sub": self._sub,
            "Fn::GetAtt": self._get_att,
            "Fn::If": self._if,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::FindInMap": self._find_in_map,
            "Condition": self.condition,
            "Fn::Equals": self._equals,
            "Fn::And": lambda value, place: all(self._truths(value, place)),
            "Fn::Or": lambda value, place: any(self._truths(value, place)),
            "Fn::Not": lambda value, place: not self._truths(value, place)[0],
        }

    def resolve(self, value: Any, place: str) -> Any:
        """`value` with every intrinsic replaced; raises `TemplateError` naming `place` where that can't be done."""
        resolved = self._resolve(value, place)
        return None if resolved is _NO_VALUE else resolved

    def condition(self, name: str, place: str) -> bool:
        """The truth of a named condition of the template."""
        if name not in self._scope.conditions:
            raise TemplateError(place, f"there is no condition {name}")
        return bool(self.resolve(self._scope.conditions[name], f"Conditions.{name}"))

    def _resolve(self, value: Any, place: str) -> Any:
        if isinstance(value, dict):
            return self._resolve_mapping(value, place)
        if isinstance(value, list):
            items = [self._resolve(item, f"{place}[{index}]") for index, item in enumerate(value)]
            return [item for item in items if item is not _NO_VALUE]
        return value

    def _resolve_mapping(self, value: dict[str, Any], place: str) -> Any:
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name in self._functions and (name != "Condition" or isinstance(argument, str)):
                return self._functions[name](argument, place)
            if name.startswith("Fn::"):
                raise TemplateError(place, f"{name} can't be resolved locally")
        resolved = {key: self._resolve(item, f"{place}.{key}") for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not _NO_VALUE}

    def _ref(self, name: Any, place: str) -> Any:
        scope = self._scope
        pseudo: dict[str, Any] = {
            "AWS::Region": scope.region,
            "AWS::AccountId": ACCOUNT_ID,
            "AWS::StackName": scope.stack_name,
            "AWS::StackId": f"arn:aws:cloudformation:{scope.region}:{ACCOUNT_ID}:stack/{scope.stack_name}/local",
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": _NO_VALUE,
        }
        if name in pseudo:
            return pseudo[name]
        if name in scope.parameters:
            return scope.parameters[name]
        if name in scope.resources:
            return self._physical_id(name, place)
        if isinstance(name, str) and name.endswith(_ALIAS):
            return self._alias_arn(name.removesuffix(_ALIAS), place)
        raise TemplateError(place, f"!Ref {name} can't be resolved locally")

    def _physical_id(self, logical_id: str, place: str) -> str:
        resource = self._scope.resources[logical_id]
        kind = resource.get("Type")
        properties = resource.get("Properties") or {}
        if kind == "AWS::DynamoDB::Table":
            return str(self.resolve(properties.get("TableName", logical_id), f"Resources.{logical_id}.TableName"))
        if kind in ("AWS::Serverless::Function", "AWS::Lambda::Function"):
            named = properties.get("FunctionName", f"{self._scope.stack_name}-{logical_id}")
            return str(self.resolve(named, f"Resources.{logical_id}.FunctionName"))
        if kind in ("AWS::Serverless::Api", "AWS::ApiGateway::RestApi"):
            return API_ID
        if kind in ("AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion"):
            return logical_id
        raise TemplateError(place, f"!Ref {logical_id} ({kind}) can't be resolved locally")

    def _alias_arn(self, logical_id: str, place: str) -> str:
        """The ARN of the alias that SAM makes of a function."""
        resource = self._scope.resources.get(logical_id, {})
        alias = {**self._scope.function_defaults, **(resource.get("Properties") or {})}.get("AutoPublishAlias")
        if resource.get("Type") != "AWS::Serverless::Function" or not alias:
            raise TemplateError(place, f"!Ref {logical_id}{_ALIAS} can't be resolved locally")
        return f"{self._get_att([logical_id, 'Arn'], place)}:{self.resolve(alias, place)}"

    def _get_att(self, argument: Any, place: str) -> str:
        logical_id, attribute = argument
        resource = self._scope.resources.get(logical_id, {})
        where = f"{self._scope.region}:{ACCOUNT_ID}"
        if attribute == "Arn" and resource.get("Type") == "AWS::DynamoDB::Table":
            return f"arn:aws:dynamodb:{where}:table/{self._physical_id(logical_id, place)}"
        if attribute == "Arn" and str(resource.get("Type")).endswith("::Function"):
            return f"arn:aws:lambda:{where}:function:{self._physical_id(logical_id, place)}"
        raise TemplateError(place, f"!GetAtt {logical_id}.{attribute} can't be resolved locally")

    def _sub(self, argument: Any, place: str) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else argument

        def replace(match: re.Match[str]) -> str:
            name = match.group(1).strip()
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in variables:
                return str(self._resolve(variables[name], place))
            if "." in name:
                return self._get_att(name.split(".", 1), place)
            return str(self._ref(name, place))

        return _SUB_VARIABLE.sub(replace, text)

    def _if(self, argument: Any, place: str) -> Any:
        name, when_true, when_false = argument
        return self._resolve(when_true if self.condition(name, place) else when_false, place)

    def _join(self, argument: Any, place: str) -> str:
        delimiter, items = argument
        return str(delimiter).join(str(item) for item in self._list(items, place))

    def _select(self, argument: Any, place: str) -> Any:
        index, items = int(self._resolve(argument[0], place)), self._list(argument[1], place)
        if not 0 <= index < len(items):
            raise TemplateError(place, f"Fn::Select has no item {index}")
        return items[index]

    def _split(self, argument: Any, place: str) -> list[str]:
        return str(self._resolve(argument[1], place)).split(argument[0])

    def _find_in_map(self, argument: Any, place: str) -> Any:
        keys = [str(key) for key in self._list(argument, place)]
        found: Any = self._scope.mappings
        for key in keys:
            if not isinstance(found, Mapping) or key not in found:
                raise TemplateError(place, f"Fn::FindInMap finds no {'.'.join(keys)}")
            found = found[key]
        return found

    def _equals(self, argument: Any, place: str) -> bool:
        left, right = self._list(argument, place)
        return str(left) == str(right)

    def _list(self, value: Any, place: str) -> list[Any]:
        resolved = self._resolve(value, place)
        if not isinstance(resolved, list):
            raise TemplateError(place, "a list is needed here")
        return resolved

    def _truths(self, argument: Any, place: str) -> list[bool]:
        return [bool(self._resolve(item, place)) for item in argument]

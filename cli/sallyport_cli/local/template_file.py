"""Reads template.yaml: CloudFormation's short tags (`!Ref x`) become their long form (`{"Ref": x}`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

LONG_NAMES_WITHOUT_PREFIX = frozenset({"Ref", "Condition"})


class TemplateError(Exception):
    """The template, or a parameter for it, can't be used as it stands. Names the place and the reason."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where it is there: it takes about a sixth of the time."""


class _CloudFormationLoader(_LOADER):  # type: ignore[misc, valid-type]
    """SafeLoader that knows CloudFormation's tags and refuses duplicate keys, as CloudFormation does."""


def _construct_intrinsic(loader: _CloudFormationLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in LONG_NAMES_WITHOUT_PREFIX else f"Fn::{suffix}"
    value = _construct_node(loader, node)
    if name == "Fn::GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name: value}


def _construct_node(loader: _CloudFormationLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return _construct_mapping(loader, node)


def _construct_mapping(loader: _CloudFormationLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    doubles = {str(key) for key in keys if keys.count(key) > 1}
    if doubles:
        raise TemplateError(f"line {node.start_mark.line + 1}", f"duplicate key {', '.join(sorted(doubles))}")
    mapping: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return mapping


_CloudFormationLoader.add_multi_constructor("!", _construct_intrinsic)
_CloudFormationLoader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)
# CloudFormation reads 2010-09-09 as a string.
_CloudFormationLoader.add_constructor("tag:yaml.org,2002:timestamp", _construct_node)


def read_template(path: Path) -> dict[str, Any]:
    """The template as plain dicts and lists, intrinsics in their long form; raises `TemplateError`."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_CloudFormationLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise TemplateError(str(path), f"can't be read ({error.strerror})") from None
    except yaml.YAMLError as error:
        raise TemplateError(str(path), f"isn't YAML: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise TemplateError(str(path), "has no Resources")
    return document

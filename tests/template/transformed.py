"""template.yaml as CloudFormation gets it: run through the real SAM transform, with a parameter's value where asked."""

import copy
import functools
import json
from pathlib import Path
from typing import Any

import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

ROOT = Path(__file__).resolve().parents[2]
REGION = "eu-central-1"


@functools.cache
def source_text() -> str:
    return (ROOT / "template.yaml").read_text()


@functools.cache
def _parsed() -> dict[str, Any]:
    document: dict[str, Any] = yaml_parse(source_text())
    return document


def source() -> dict[str, Any]:
    """The template as written, with short intrinsics (!Ref) in their long form; a copy, which a test may change."""
    return copy.deepcopy(_parsed())


@functools.cache
def _transformed(parameters: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    document = _without_code(source())
    session = boto3.Session(region_name=REGION)
    translator = Translator({}, Parser(), boto_session=session)
    result: dict[str, Any] = translator.translate(document, dict(parameters))
    return result


def transformed(parameters: dict[str, str] | None = None) -> dict[str, Any]:
    """The template after the transform, which knows parameters; a copy, so that a test may change it."""
    return copy.deepcopy(_transformed(tuple((parameters or {}).items())))


def resources(kind: str) -> dict[str, dict[str, Any]]:
    """Properties of all transformed resources of one type, by logical id."""
    found = transformed()["Resources"].items()
    return {name: resource.get("Properties", {}) for name, resource in found if resource["Type"] == kind}


def open_api() -> dict[str, Any]:
    """The REST API's OpenAPI document."""
    (api,) = resources("AWS::ApiGateway::RestApi").values()
    body: dict[str, Any] = api["Body"]
    return body


def _without_code(document: dict[str, Any]) -> dict[str, Any]:
    """Local paths become S3 addresses, as `sam package` makes them; the transform refuses anything else."""
    for resource in document["Resources"].values():
        properties = resource.get("Properties", {})
        for name in ("CodeUri", "ContentUri"):
            if name in properties:
                properties[name] = "s3://bucket/key"
    return document


def dump(value: object) -> str:
    """A part of the template as JSON, for searching."""
    return json.dumps(value)

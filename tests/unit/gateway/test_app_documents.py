"""Documents in force: prepared once per policy version, and let go of with their apps."""

import copy
import json
from typing import Any

from sallyport.gateway.app_documents import AppDocuments
from sallyport.gateway.request import read_request
from sallyport.policy.upstream_rules import AppRules
from sallyport.verification.openapi.checks import OpenApiChecks
from sallyport_cli.policy.openapi import compile_openapi
from tests.support.events import proxy_event

COMPILED = compile_openapi(json.dumps({"openapi": "3.1.0", "paths": {"/v1": {"get": {}}}}))
REQUEST = read_request(proxy_event("GET", "/apps/a/v1", path_parameters={"name": "a", "proxy": "v1"}))


class Uncomparable(dict[str, Any]):  # noqa: PLW1641 - no dict has a hash
    """A document that must not be compared: that takes milliseconds of a large one."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError


def prepared(documents: AppDocuments, compiled: Any, name: str = "a") -> OpenApiChecks:
    """Give what a request to an app was held to."""
    described = documents.check(name, {name: AppRules("up", openapi=compiled)}, REQUEST, {})
    assert described is not None
    return described.checks


def test_app_without_a_document_is_held_to_none() -> None:
    assert AppDocuments().check("a", {"a": AppRules("up")}, REQUEST, {}) is None


def test_document_is_prepared_once_and_not_compared_by_request() -> None:
    documents, compiled = AppDocuments(), Uncomparable(COMPILED)
    assert prepared(documents, compiled) is prepared(documents, compiled)


def test_document_that_a_new_policy_leaves_as_it_was_stays_prepared() -> None:
    documents = AppDocuments()
    first = prepared(documents, COMPILED)
    assert prepared(documents, copy.deepcopy(COMPILED)) is first


def test_other_document_is_prepared_anew() -> None:
    documents = AppDocuments()
    first = prepared(documents, COMPILED)
    assert prepared(documents, {**COMPILED, "defs": {"r0": True}}) is not first


def test_document_of_an_app_that_is_gone_is_let_go_of() -> None:
    documents = AppDocuments()
    first = prepared(documents, COMPILED, "a")
    prepared(documents, COMPILED, "b")
    assert prepared(documents, COMPILED, "a") is not first

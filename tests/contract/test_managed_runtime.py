"""What handlers and Lambda see of the runtime is what they see of the managed one, whose client is public."""

from typing import Any

import pytest
from awslambdaric import bootstrap, lambda_context, lambda_runtime_exception

from sallyport.runtime import context, handlers
from sallyport.runtime.client import Invocation
from sallyport.runtime.errors import Fault, describe

HEADERS = {"lambda-runtime-aws-request-id": "id-1", "lambda-runtime-deadline-ms": "1"}
CLIENT_CONTEXT = '{"client": {"app_title": "t"}, "custom": {}, "env": {}}'


def public(value: Any) -> set[str]:
    return {name for name in dir(value) if not name.startswith("_")}


def contexts() -> tuple[Any, Any]:
    headers = {**HEADERS, "lambda-runtime-client-context": CLIENT_CONTEXT}
    ours = context.LambdaContext(Invocation(headers, b""), {}, [])
    theirs = lambda_context.LambdaContext("id-1", bootstrap.json.loads(CLIENT_CONTEXT), None, 1)
    return ours, theirs


def test_the_context_has_every_public_name_of_the_managed_one_and_after_response() -> None:
    ours, theirs = contexts()
    assert public(ours) - {"after_response"} == public(theirs)


@pytest.mark.parametrize("name", ["identity", "client_context"])
def test_the_parts_of_the_context_have_the_same_names(name: str) -> None:
    ours, theirs = (getattr(made, name) for made in contexts())
    assert public(ours) == public(theirs)


def test_the_client_has_the_same_names() -> None:
    ours, theirs = contexts()
    assert public(ours.client_context.client) == public(theirs.client_context.client)


def test_an_error_has_the_same_keys() -> None:
    theirs = bootstrap.make_error("m", "T", ["s"], "id-1")
    assert describe(ValueError(), "id-1").keys() == theirs.keys()


@pytest.mark.parametrize(
    ("name", "error_type"),
    [
        ("handler", "MALFORMED_HANDLER_NAME"),
        ("none_such.handler", "IMPORT_MODULE_ERROR"),
        ("json.none_such", "HANDLER_NOT_FOUND"),
        ("sys.exit", "BUILT_IN_MODULE_CONFLICT"),
    ],
)
def test_a_bad_handler_name_is_named_alike(name: str, error_type: str) -> None:
    with pytest.raises(Fault) as ours:
        handlers.load_handler(name, {})
    with pytest.raises(lambda_runtime_exception.FaultException) as theirs:
        bootstrap._get_handler(name)
    assert ours.value.error_type == theirs.value.exception_type
    assert theirs.value.exception_type == getattr(lambda_runtime_exception.FaultException, error_type)


def test_a_handler_that_the_managed_runtime_finds_is_found() -> None:
    assert handlers.load_handler("json.dumps", {}) is bootstrap._get_handler("json.dumps")

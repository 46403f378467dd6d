"""examples/apps: a policy and the OpenAPI document that it names, sound as they stand."""

import pathlib

from sallyport.verification.openapi.checks import OpenApiChecks
from sallyport_cli.policy.documents import read_document
from tests.unit.verification.openapi.documents import refused

FOLDER = pathlib.Path(__file__).parents[5] / "examples" / "apps"


def test_example_is_sound_and_holds_the_app_to_its_document() -> None:
    document = read_document((FOLDER / "policy.yaml").read_text(), "policy.yaml", local=False, folder=FOLDER)
    checks = OpenApiChecks(document.beside.openapi["summarizer"])
    assert refused(checks, "POST", "/v1/run", body='{"text": "t"}') is None
    assert refused(checks, "POST", "/v1/run", body='{"text": 5}') == "body.text"

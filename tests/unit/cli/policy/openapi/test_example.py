"""Policies that name OpenAPI documents: the example, and what an operator is told of a broken one."""

import pathlib

import pytest

from sallyport.verification.openapi.checks import OpenApiChecks
from sallyport_cli.policy.documents import PolicyFileError, read_document
from tests.unit.verification.openapi.documents import refused

FOLDER = pathlib.Path(__file__).parents[5] / "examples" / "apps"
POLICY = (FOLDER / "policy.yaml").read_text()
DOCUMENT = (FOLDER / "specs" / "summarizer.yaml").read_text()


def test_example_is_sound_and_holds_the_app_to_its_document() -> None:
    document = read_document(POLICY, "policy.yaml", local=False, folder=FOLDER)
    checks = OpenApiChecks(document.beside.openapi["summarizer"])
    assert refused(checks, "POST", "/v1/run", body='{"text": "t"}') is None
    assert refused(checks, "POST", "/v1/run", body='{"text": 5}') == "body.text"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("#/components/schemas/Text", "https://example.com/a.json", "line 13: paths./v1/run.post.requestBody.content"),
        ("#/components/schemas/Text", "https://example.com/a.json", "$ref leads out of the document"),
        ("maxLength: 100000", "pattern: (a)\\1", "components.schemas.Text.properties.text.pattern"),
        ("openapi: 3.1.0", "swagger: '2.0'", "must be an OpenAPI version"),
    ],
)
def test_broken_document_is_told_with_both_files_and_places(
    tmp_path: pathlib.Path, old: str, new: str, told: str
) -> None:
    assert old in DOCUMENT
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "summarizer.yaml").write_text(DOCUMENT.replace(old, new))
    with pytest.raises(PolicyFileError) as caught:
        read_document(POLICY, "policy.yaml", local=False, folder=tmp_path)
    assert "apps.summarizer.openapi: specs/summarizer.yaml: line" in str(caught.value)
    assert told in str(caught.value)


def test_document_that_is_not_there_is_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(PolicyFileError, match=r"apps\.summarizer\.openapi: specs/summarizer\.yaml: No such file"):
        read_document(POLICY, "policy.yaml", local=False, folder=tmp_path)

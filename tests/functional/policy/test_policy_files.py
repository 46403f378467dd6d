"""A policy document with files beside it: a JSON Schema and an OpenAPI document, as an operator changes them."""

import json
from pathlib import Path
from typing import Any

import pytest

from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from sallyport.adapters.dynamodb_policy import DynamoDbPolicyStore
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.router_rules import merge_router
from tests.functional.policy.conftest import Run
from tests.support.aws import CONFIG_TABLE, LOCAL_AWS, Emulator

TEXT = """\
version: 1
upstreams:
  mine: {provider: app, base_url: "https://app.internal/x", region: eu-west-1, secret: mine}
apps: {a: {upstream: mine, openapi: specs/a.yaml}}
verification:
  request: {schema: schemas/all.json}
  tenants: {acme: {request: {schema: schemas/acme.yaml}}}
"""
OPENAPI = """\
openapi: 3.1.0
info: {title: a, version: "1"}
paths:
  /things: {get: {responses: {"200": {description: fine}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the folder that `run` is in, with the files that the document names."""
    for name, content in {
        "schemas/all.json": '{"required": ["user"]}',
        "schemas/acme.yaml": "properties: {user: {type: string}}\n",
        "specs/a.yaml": OPENAPI,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def in_force(emulator: Emulator) -> RouterRules:
    """Give what a router reads from the table."""
    store = DynamoDbPolicyStore(AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url}), CONFIG_TABLE)
    pointer = store.read_pointer()
    assert pointer is not None
    return merge_router(RouterRules(0, (), {}, None), json.loads(store.read_compiled(pointer)), pointer.version)


def schemas(emulator: Emulator) -> list[Any]:
    rules = in_force(emulator).verification
    return [*rules.requests["messages"].schemas, *rules.tenant_requests["acme"][""].schemas]


def test_files_become_part_of_the_policy(run: Run, folder: Path, emulator: Emulator) -> None:
    applied = run("policy", "apply", "policy.yaml", text=TEXT)
    assert (applied.exit_code, applied.stderr) == (0, "")
    assert schemas(emulator) == [{"required": ["user"]}, {"properties": {"user": {"type": "string"}}}]
    assert in_force(emulator).apps["a"].openapi is not None
    assert folder.exists()


def test_a_file_that_changes_makes_a_version_that_can_be_rolled_back(
    run: Run, folder: Path, emulator: Emulator
) -> None:
    run("policy", "apply", "policy.yaml", text=TEXT)
    assert run("policy", "diff", "policy.yaml", "--exit-code").exit_code == 0
    (folder / "schemas/all.json").write_text('{"required": ["metadata"]}')
    (folder / "specs/a.yaml").write_text(OPENAPI.replace("/things", "/other"))
    told = run("policy", "diff", "policy.yaml", "--exit-code")
    assert (told.exit_code, told.stdout.splitlines()) == (
        1,
        [
            "~ verification.request.schema: schemas/all.json has other content",
            "~ apps.a.openapi: specs/a.yaml has other content",
        ],
    )
    assert "version 2 applied" in run("policy", "apply", "policy.yaml").stdout
    assert schemas(emulator)[0] == {"required": ["metadata"]}
    back = run("policy", "rollback", "1")
    assert (back.exit_code, back.stderr) == (0, "")
    assert schemas(emulator)[0] == {"required": ["user"]}


def test_files_that_are_new_are_told_as_new(run: Run, folder: Path) -> None:
    run("policy", "apply", "policy.yaml", text="version: 1\n")
    told = run("policy", "diff", "policy.yaml", text=TEXT).stdout
    assert "+ verification.request.schema: schemas/all.json\n" in told
    assert "other content" not in told
    assert folder.exists()


def test_ip_commands_leave_files_in_the_policy(run: Run, folder: Path, emulator: Emulator) -> None:
    run("policy", "apply", "policy.yaml", text=TEXT)
    (folder / "schemas/all.json").unlink()
    assert run("ip", "deny", "198.51.100.66").exit_code == 0
    assert schemas(emulator)[0] == {"required": ["user"]}


BROKEN = {
    "no JSON": ("schemas/all.json", "{", "verification.request.schema: schemas/all.json: it isn't valid JSON"),
    "a name twice": ("schemas/all.json", '{"a":1,"a":2}', "verification.request.schema: schemas/all.json: it isn't v"),
    "a list": ("schemas/all.json", "[]", "verification.request.schema: schemas/all.json: must be a JSON Schema"),
    "no schema": ("schemas/all.json", '{"type":"x"}', "verification.request.schema: schemas/all.json: the schema is"),
    "a remote part": (
        "schemas/all.json", '{"$ref":"https://x.example"}', "verification.request.schema: schemas/all.json: the sche",
    ),
    "too large": ("schemas/all.json", " " * 100_001, "verification.request.schema: schemas/all.json: is larger than"),
    "no text": ("schemas/all.json", "\udcff", "verification.request.schema: schemas/all.json: isn't UTF-8"),
    "no YAML": ("schemas/acme.yaml", "a: [", "verification.tenants.acme.request.schema: schemas/acme.yaml: line"),
    "no OpenAPI": ("specs/a.yaml", "swagger: 2.0", "apps.a.openapi: specs/a.yaml: "),
    "gone": ("specs/a.yaml", None, "apps.a.openapi: specs/a.yaml: No such file or directory"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_told_by_its_place_and_nothing_is_applied(run: Run, folder: Path, case: str) -> None:
    name, content, told = BROKEN[case]
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content.encode(errors="surrogateescape"))
    refused = run("policy", "apply", "policy.yaml", text=TEXT)
    assert (refused.exit_code, refused.stdout) == (1, "")
    [line] = refused.stderr.splitlines()
    assert told in line
    assert line.startswith("policy.yaml:")
    assert run("policy", "history").stderr == "no policy was ever applied\n"


def test_a_link_out_of_the_folder_is_refused(run: Run, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "all.json"
    outside.write_text("{}")
    (folder / "schemas/all.json").unlink()
    (folder / "schemas/all.json").symlink_to(outside)
    refused = run("policy", "apply", "policy.yaml", text=TEXT)
    assert "schemas/all.json: is a link to a place outside of the document's folder" in refused.stderr
    assert refused.exit_code == 1

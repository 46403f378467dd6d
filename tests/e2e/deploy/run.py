"""`make e2e-deploy`: sam build and sam deploy into ministack, then calls through the deployed API, then contention.

What is deployed is template.yaml less one property: ministack can't call a function for a stream. Its OpenAPI importer
reads neither methods of ANY nor gateway responses, so a 401 is looked at for its status alone, and the 404 is that of
a model; both are looked at whole in tests/e2e/test_bad_input.py. It believes X-Forwarded-For, so addresses aren't
tried here.
"""

import http.client
import json
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from tests.e2e.deploy.contention import check_contention
from tests.e2e.deploy.ministack import ROOT, Ministack, make_environment

STACK = "sallyport-e2e"
BIN = Path(sys.executable).parent
WORK = ROOT / ".sallyport" / "deploy"
ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
PARAMETERS = [f"Architecture={ARCHITECTURE}", "Models=gpt-4o,gpt-4o-mini"]
STAGE = "prod"
TIMEOUT_S = 60
IN_FORCE_S = 45


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def main() -> int:
    """Deploy, call, and print what was seen; the exit status is 1 if anything was unexpected."""
    WORK.mkdir(parents=True, exist_ok=True)
    interpreter = make_environment(WORK / "ministack", sys.executable)
    with Ministack(interpreter, WORK) as aws:
        _deploy(aws)
        outputs = _outputs(aws)
        key, api_id = _create_key(aws, "acme"), _api_id(outputs["ApiUrl"])
        checks = [*_check(aws, api_id, key), *_check_policy(aws, api_id), *_check_canaries(aws)]
        return _report([*checks, *check_contention(aws.url)])


def _deploy(aws: Ministack) -> None:
    template, build = WORK / "template.yaml", WORK / "build"
    written = (ROOT / "template.yaml").read_text()
    reduced = re.sub(r"^ +ResponseTransferMode: .*\n", "", written, flags=re.MULTILINE)
    assert len(written.splitlines()) - len(reduced.splitlines()) == 7, "five operations stream, and applications twice"
    template.write_text(reduced)
    parameters = ["--parameter-overrides", *PARAMETERS]
    _sam(aws, "build", "-t", str(template), "--base-dir", str(ROOT), "-b", str(build), *parameters)
    _sam(
        *(aws, "deploy", "-t", str(build / "template.yaml"), "--stack-name", STACK, "--resolve-s3"),
        *("--capabilities", "CAPABILITY_IAM", "--region", "us-east-1", "--no-confirm-changeset"),
        *("--no-progressbar", *parameters),
    )


def _sam(aws: Ministack, *arguments: str) -> None:
    # In a directory without samconfig.toml, so that every option is here.
    environ = {**aws.environ, "PATH": f"{BIN}:{aws.environ['PATH']}"}
    subprocess.run([str(BIN / "sam"), *arguments], cwd=WORK, env=environ, check=True, stdout=sys.stderr)


def _outputs(aws: Ministack) -> dict[str, str]:
    command = [str(BIN / "python"), "-c", _DESCRIBE, STACK]
    done = subprocess.run(command, env=aws.environ, capture_output=True, text=True, check=True)
    outputs: dict[str, str] = json.loads(done.stdout)
    return outputs


_DESCRIBE = """
import boto3, json, sys
(stack,) = boto3.client("cloudformation").describe_stacks(StackName=sys.argv[1])["Stacks"]
print(json.dumps({output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}))
"""


def _api_id(api_url: str) -> str:
    host = urlsplit(api_url).hostname
    assert host is not None
    return host.partition(".")[0]


def _sallyport(aws: Ministack, *arguments: str) -> str:
    """Run the operator's command on the deployed stack, and give what it printed."""
    command = [str(BIN / "sallyport"), *arguments, "--stack", STACK, "--endpoint-url", aws.url, "--region", "us-east-1"]
    done = subprocess.run(command, env=aws.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"sallyport {' '.join(arguments[:2])}: {done.stderr}"
    return done.stdout


def _create_key(aws: Ministack, tenant: str) -> str:
    printed = _sallyport(aws, "keys", "create", "--tenant", tenant, "--name", "e2e", "--output", "json")
    found = re.search(r"sp_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}", printed)
    assert found, "sallyport keys create printed no key"
    return found[0]


def _check_policy(aws: Ministack, api_id: str) -> list[tuple[str, Any, Any]]:
    """Apply a policy to the running stack, revoke a key, and take the policy back."""
    key, revoked = _create_key(aws, "globex"), _create_key(aws, "acme")
    policy = WORK / "policy.yaml"
    policy.write_text("version: 1\ntenants: {globex: {suspended: true}}\n")
    before = _call(aws, api_id, "/v1/models", key).status
    _sallyport(aws, "policy", "apply", str(policy), "--note", "e2e")
    _sallyport(aws, "keys", "revoke", revoked[3:19])
    listed = json.loads(_sallyport(aws, "keys", "list", "--all", "--output", "json"))
    rows = [
        ("GET /v1/models of a tenant before it is suspended", before, 200),
        ("GET /v1/models of a suspended tenant", _await_status(aws, api_id, key, 403), 403),
        ("GET /v1/models with a revoked key", _await_status(aws, api_id, revoked, 401), 401),
        ("keys that sallyport lists", len(listed), 3),
    ]
    _sallyport(aws, "ip", "deny", "203.0.113.0/24", "--note", "e2e")
    decided = _sallyport(aws, "ip", "check", "203.0.113.9")
    _sallyport(aws, "policy", "rollback", "1")
    versions = json.loads(_sallyport(aws, "policy", "history", "--output", "json"))
    return [
        *rows,
        ("sallyport ip check names the rule", "203.0.113.0/24" in decided, True),
        ("versions of the policy", len(versions), 3),
    ]


def _check_canaries(aws: Ministack) -> list[tuple[str, Any, Any]]:
    """Apply a canary that waits for its command, start it, and have the guard look before and after."""
    policy = WORK / "policy.yaml"
    policy.write_text(_CANARY)
    untouched = _invoke_guard(aws)
    _sallyport(aws, "policy", "apply", str(policy), "--note", "e2e")
    before, waiting = _canary(aws), _invoke_guard(aws)
    _sallyport(aws, "canary", "start", "next", "--note", "e2e")
    after, running = _canary(aws), _invoke_guard(aws)
    history = json.loads(_sallyport(aws, "canary", "history", "--json"))
    return [
        ("the guard without a canary", untouched, {"canaries": {}}),
        ("the guard with one that waits", waiting, {"canaries": {"next": "hold"}}),
        ("sallyport canary status before its start", (before["phase"], before["weight"]), ("stopped", 0.0)),
        ("sallyport canary status after it", (after["phase"], after["weight"]), ("running", 5.0)),
        ("the guard with one that runs", running, {"canaries": {"next": "hold"}}),
        ("sallyport canary history", [entry["what"] for entry in history], ["start", "key"]),
    ]


_CANARY = """\
version: 1
models: {gpt-4o: {targets: [{upstream: default, model: gpt-4o}]}}
canaries:
  - {name: next, model: gpt-4o, target: {upstream: default, model: gpt-4o-mini}, weight: 5, start: command}
"""


def _canary(aws: Ministack) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(_sallyport(aws, "canary", "status", "next", "--json"))
    return status


def _invoke_guard(aws: Ministack) -> Any:
    """Call the guard as EventBridge does, by its alias."""
    session = boto3.Session("test", "test", region_name="us-east-1")
    functions = session.client("lambda", endpoint_url=aws.url)
    listed = functions.get_paginator("list_functions").paginate().search("Functions[].FunctionName")
    (name,) = (name for name in listed if "CanaryGuard" in name)
    event = (ROOT / "events" / "canary-guard.json").read_bytes()
    return json.load(functions.invoke(FunctionName=name, Qualifier="live", Payload=event)["Payload"])


def _await_status(aws: Ministack, api_id: str, key: str, expected: int) -> int:
    """Call until a change is in force, for at most its stated time and a margin for a busy machine."""
    deadline_s = time.monotonic() + IN_FORCE_S
    while True:
        status = _call(aws, api_id, "/v1/models", key).status
        if status == expected or time.monotonic() > deadline_s:
            return status


def _call(aws: Ministack, api_id: str, path: str, key: str | None = None) -> Answer:
    address = urlsplit(aws.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT_S)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        connection.request("GET", f"/restapis/{api_id}/{STAGE}/_user_request_{path}", headers=headers)
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, named, response.read())
    finally:
        connection.close()


def _check(aws: Ministack, api_id: str, key: str) -> list[tuple[str, Any, Any]]:
    """What was called, what came, what was expected."""
    wrong = key[:20] + ("a" if key[20] != "a" else "b") + key[21:]
    health, models = _call(aws, api_id, "/healthz"), _call(aws, api_id, "/v1/models", key)
    model, unknown = _call(aws, api_id, "/v1/models/gpt-4o", key), _call(aws, api_id, "/v1/models/gpt-5", key)
    return [
        ("GET /healthz", (health.status, health.body), (200, b'{"status": "ok"}')),
        ("GET /v1/models", (models.status, _ids(models)), (200, ["gpt-4o", "gpt-4o-mini"])),
        ("GET /v1/models/gpt-4o", model.status, 200),
        ("GET /v1/models/gpt-5", (unknown.status, _code(unknown)), (404, "model_not_found")),
        ("GET /v1/models without a key", _call(aws, api_id, "/v1/models").status, 401),
        ("GET /v1/models with a wrong key", _call(aws, api_id, "/v1/models", wrong).status, 401),
    ]


def _ids(answer: Answer) -> list[str] | bytes:
    return [model["id"] for model in json.loads(answer.body)["data"]] if answer.status == 200 else answer.body


def _code(answer: Answer) -> str | bytes:
    try:
        code: str = json.loads(answer.body)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return answer.body
    return code


def _report(checks: list[tuple[str, Any, Any]]) -> int:
    for call, came, expected in checks:
        verdict = "ok  " if came == expected else "FAIL"
        sys.stdout.write(f"{verdict} {call}: {came}" + ("" if came == expected else f", not {expected}") + "\n")
    return 0 if all(came == expected for _, came, expected in checks) else 1


if __name__ == "__main__":
    raise SystemExit(main())

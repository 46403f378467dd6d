"""What a cold start loads: the list is held, because each of these costs every caller of a new process."""

import subprocess
import sys

import pytest

from tests.support.aws import LOCAL_AWS, ROOT

AUTHORIZER = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # the discard port: nobody there, and a function starts all the same
    "SALLYPORT_CONFIG_TABLE": "config",
    "SALLYPORT_COUNTERS_TABLE": "counters",
    "SALLYPORT_API_KEYS": "enabled",
    "SALLYPORT_DEFAULT_RESIDENCY": "us-east-1",
    "SALLYPORT_LOG_LEVEL": "INFO",
}
ISSUER = {
    **AUTHORIZER,
    "SALLYPORT_JWT_ISSUER": "https://issuer.example.com/",
    "SALLYPORT_JWT_AUDIENCES": "ai",
    "SALLYPORT_JWT_ALGORITHMS": "RS256",
    "SALLYPORT_JWT_JWKS_URL": "https://issuer.example.com/jwks.json",
    "SALLYPORT_JWT_TENANT_CLAIM": "tenant",
    "SALLYPORT_JWT_SUBJECT_CLAIM": "sub",
}
ROUTER = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "SALLYPORT_CONFIG_TABLE": "config",
    "SALLYPORT_COUNTERS_TABLE": "counters",
    "SALLYPORT_ANCHORS_TABLE": "anchors",
    "SALLYPORT_ALLOWED_REGIONS": "us-east-1",
    "SALLYPORT_SECRET_PREFIX": "stack/upstreams/",
    "SALLYPORT_REQUESTS_PER_MINUTE": "60",
    "SALLYPORT_UPSTREAM_BASE_URL": "https://api.openai.com/v1",
    "SALLYPORT_UPSTREAM_REGION": "us-east-1",
    "SALLYPORT_UPSTREAM_SECRET": "stack/openai",
    "SALLYPORT_UPSTREAM_CONNECT_TIMEOUT_S": "5",
    "SALLYPORT_UPSTREAM_IDLE_TIMEOUT_S": "60",
    "SALLYPORT_LOG_LEVEL": "INFO",
}
ANTHROPIC = {
    **ROUTER,
    "SALLYPORT_UPSTREAM_PROVIDER": "anthropic",
    "SALLYPORT_UPSTREAM_BASE_URL": "https://api.anthropic.com",
}
BEDROCK = {
    **ROUTER,
    "SALLYPORT_UPSTREAM_PROVIDER": "bedrock",
    "SALLYPORT_UPSTREAM_BASE_URL": "https://bedrock-runtime.us-east-1.amazonaws.com",
    "SALLYPORT_UPSTREAM_SECRET": "",
}
FUNCTIONS = {
    "authorizer/handler": AUTHORIZER,
    "authorizer/handler with an issuer": ISSUER,
    "router/chat_completions": ROUTER,
    "router/responses": ROUTER,
    "router/embeddings": ROUTER,
    "router/messages": ANTHROPIC,
    "router/count_tokens": ANTHROPIC,
    "router/messages with Bedrock": BEDROCK,
    "router/app": ROUTER,
    "router/models": ROUTER,
    "router/healthz": ROUTER,
    "router/unmatched": ROUTER,
}
NEVER = {
    "asyncio",
    "aws_lambda_powertools",
    "boto3",
    "botocore",
    "concurrent",
    "cryptography",
    "dataclasses",
    "http",
    "inspect",
    "jsonschema",
    "jwt",
    "logging",
    "multiprocessing",
    "pathlib",
    "pydantic",
    "re2",
    "sallyport_cli",
    "traceback",
    "urllib3",
}
SCRIPT = """
import os, sys
sys.path.insert(0, sys.argv[1])
import sallyport.runtime.__main__
module = __import__(sys.argv[2])
module.init(os.environ)
print("modules", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def modules_loaded(function: str) -> set[str]:
    folder, name = function.partition(" ")[0].split("/")
    environ = {**LOCAL_AWS, **FUNCTIONS[function], "PYTHONPATH": str(ROOT / "layers" / "common")}
    command = [sys.executable, "-S", "-c", SCRIPT, str(ROOT / "functions" / folder), name]
    site_packages = next(path for path in sys.path if path.endswith("site-packages"))
    environ["PYTHONPATH"] += f":{site_packages}"
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("modules ")[2].split())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_cold_start_loads_nothing_heavy(function: str) -> None:
    assert modules_loaded(function) & NEVER == set()


def test_only_the_routes_with_a_schema_load_its_validator() -> None:
    assert "jsonschema_rs" in modules_loaded("router/chat_completions")
    assert "jsonschema_rs" not in modules_loaded("authorizer/handler")
    assert "jsonschema_rs" not in modules_loaded("router/models")
    assert "jsonschema_rs" not in modules_loaded("router/app")

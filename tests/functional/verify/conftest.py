"""`sallyport verify`, run in a folder with a policy and bodies."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sallyport_cli.main import main

POLICY = """
version: 1
upstreams:
  openai: {provider: openai, base_url: https://api.openai.com/v1, region: us-east-1, secret: openai}
  shop: {provider: app, base_url: https://shop.example.com, region: us-east-1, secret: shop}
  judge: {provider: guard, base_url: https://guard.example.com/check, region: us-east-1, secret: judge}
models:
  m: {targets: [{upstream: openai, model: m}]}
apps:
  shop: {upstream: shop, openapi: shop.yaml, response: enforce}
  free: {upstream: shop}
verification:
  request: {max_messages: 2, forbidden: [logit_bias], forced: {temperature: 0}}
  routes:
    messages: {response: enforce}
    embeddings: {response: off}
  tenants:
    acme: {request: {unknown_fields: refuse}}
  leaks:
    - {name: secrets, detectors: [credentials], action: block, where: [requests, answers]}
    - {name: people, detectors: [email], action: redact, where: [requests, answers]}
  prompts:
    - {name: jailbreak, deny: ['(?i)ignore previous instructions'], action: block}
    - {name: hygiene, forbid: [bidi], action: report}
  guards:
    - {name: external, upstream: judge, routes: [responses]}
"""
SHOP = """
openapi: 3.1.0
info: {title: Shop, version: "1"}
paths:
  /items/{id}:
    get:
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer}}
        - {name: limit, in: query, schema: {type: integer, maximum: 9}}
        - {name: x-version, in: header, required: true, schema: {type: string}}
      responses:
        "200": {description: ok, content: {application/json: {schema: {type: object, required: [name]}}}}
  /items:
    post:
      requestBody:
        required: true
        content: {application/json: {schema: {type: object, properties: {name: {type: string}}}}}
      responses: {"204": {description: done}}
"""

type Verify = Callable[..., Result]


@pytest.fixture
def verify(tmp_path: Path) -> Verify:
    """Run the command on a body, which is text, bytes, or what JSON is made of."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "shop.yaml").write_text(SHOP)

    def run(what: str, body: Any, *options: str, policy: bool = True) -> Result:
        raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        (tmp_path / "body").write_bytes(raw)
        stack = ["--policy", str(tmp_path / "policy.yaml")] if policy else []
        return CliRunner(mix_stderr=False).invoke(main, ["verify", what, str(tmp_path / "body"), *stack, *options])

    return run

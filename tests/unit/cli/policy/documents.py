"""Policy documents for tests: one with every key, and what a reader says of others."""

from collections.abc import Sequence

import pytest

from sallyport_cli.policy.documents import Document, PolicyFileError, read_document

EVERY_KEY = """\
version: 1
identity:
  api_keys: {enabled: true}
  default_scopes: [chat, models]
  issuers:
    - issuer: https://login.example.com/
      audiences: [https://ai.example.com]
      algorithms: [RS256, ES256]
      token_type: at+jwt
      leeway_s: 60
      claims: {tenant: org_id, subject: sub, scopes: [scope, /roles/0], residency: zone}
      tenants: [acme, globex]
      scope_prefix: "ai/"
      default_scopes: chat
    - issuer: https://internal.example.com
      audiences: [ai]
      algorithms: [HS256]
      hmac_secret: internal
      tenant: internal
access:
  allow: [198.51.100.0/24]
  deny: [203.0.113.0/24, "2001:db8:bad::/48"]
  trusted_proxies: [192.0.2.0/24]
  origin_secret: cloudfront
  countries: {allow: [NO, DE], deny: [KP]}
residency:
  zones: {eu: [eu-central-1, eu-west-1]}
  default: eu
  endpoints: {us-east-1: "https://abc.execute-api.us-east-1.amazonaws.com/prod"}
upstreams:
  openai-eu:
    provider: openai
    base_url: https://eu.api.openai.com/v1
    region: eu-west-1
    secret: openai-eu
    credential_header: api-key
    store: true
    hosted_tools: [web_search]
  bedrock-fra: {provider: bedrock, region: eu-central-1}
  my-app-eu: {provider: app, base_url: "https://app.internal.example/base/", region: eu-west-1, secret: my-app}
  guard-eu: {provider: guard, base_url: "https://guard.example/check", region: eu-west-1, secret: guard}
  my-app-new: {provider: app, base_url: "https://new.internal.example/", region: eu-west-1, secret: my-app-new}
limits:
  - {scope: ip, unit: requests, limit: 120, window: 1m}
  - {scope: tenant, unit: concurrent, limit: 10}
  - name: budget
    scope: [model, tenant]
    unit: usd
    limit: 500.25
    window: month
    match: {routes: chat_completions, models: [gpt-4o], tenants: [acme, NO], scopes: [chat]}
    on_store_failure: allow
    enforce_cap: true
models:
  gpt-4o:
    max_output_tokens: 16384
    price: {input: 2.5, output: "10", cached_input: 1.25}
    targets:
      - {upstream: openai-eu}
      - upstream: bedrock-fra
        model: eu.anthropic.claude-x-v1:0
        regions: [eu-central-1, eu-west-1]
        price: {input: 3, output: 15}
  text-embedding-3-small: {price: {input: 0.02, output: 0}, targets: [{upstream: openai-eu}]}
apps:
  summarizer: {upstream: my-app-eu, tenants: [acme], request_headers: [x-custom], answer_headers: [x-other]}
canaries:
  - name: next
    model: gpt-4o
    target: {upstream: bedrock-fra, model: amazon.nova-x-v1:0, regions: [eu-central-1], price: {input: 1, output: 2}}
    parameters: {temperature: 0.2, logit_bias: {"50256": -100}}
    steps: [{weight: 0.25, hold: 10m}, {weight: "10", hold: 120s}, {weight: 100}]
    sticky_by: header:x-session
    match:
      tenants: acme
      regions: [eu-central-1]
      countries: [NO, DE]
      claims: {plan: beta, /org/beta: true}
      headers: {x-beta: "1"}
    start: command
    guard:
      false_alarm: 0.02
      max_error_increase: 0.03
      min_requests: 200
      min_subjects: 30
      slow_ms: 8000
      slow_first_token_ms: 3000
      max_slow_increase: 0.1
  - {name: cool, routes: [chat_completions, messages], parameters: {temperature: 0}, weight: 5, guard: off}
  - {name: newer, app: summarizer, target: {upstream: my-app-new}, weight: 1}
verification:
  request:
    unknown_fields: strip
    max_messages: 200
    max_images: 10
    max_tools: 64
    max_prompt_bytes: 200000
    max_output_tokens: 8000
    forbidden: [logit_bias]
    forced: {temperature: 0, metadata: {team: a}}
    schema: {type: object, properties: {user: {type: string}, x: {const: null}}}
  response: report
  routes:
    embeddings: {response: off}
    chat_completions:
      request: {unknown_fields: refuse, max_messages: 100, forbidden: user, forced: {own_field: [1]}}
      response: enforce
      strip: [system_fingerprint, "choices[*].logprobs"]
  tenants:
    acme: {request: {max_tools: 0, forced: {top_p: 1}, schema: {required: [user]}}}
  leaks:
    - {name: secrets, detectors: [credentials, private_keys], action: block, routes: chat_completions}
    - name: ours
      patterns: [{name: ticket, pattern: 'ACME-[0-9]{6}', max_length: 11}]
      words: [zebra-lantern-42]
      action: report
      where: [answers, requests]
      apps: summarizer
      tenants: [acme]
  prompts:
    - {name: jailbreak, roles: [user, tool], deny: '(?i)ignore (all )?previous', allow: ['[a-z]'], action: block}
    - {name: hygiene, forbid: [control, bidi], max_repetition: 200, action: report, routes: messages, tenants: acme}
  guards:
    - {name: external, upstream: guard-eu, timeout_ms: 500, on_failure: open, routes: responses, tenants: [acme]}
tenants:
  acme:
    allow_global: true
    limits:
      - {name: budget, limit: none}
      - {scope: ip, unit: requests, limit: 5, window: 60s}
    residency: [eu, eu-north-1]
    models: [gpt-4o]
    allow: [198.51.100.0/25]
    deny: [198.51.100.9]
    suspended: false
  NO: {suspended: true}
"""


def read(text: str, *, local: bool = False) -> Document:
    """Read a sound document."""
    return read_document(text, "policy.yaml", local=local)


def problems(text: str, *, local: bool = False) -> list[str]:
    """Give the lines with which a document is refused."""
    with pytest.raises(PolicyFileError) as refused:
        read(text, local=local)
    return str(refused.value).splitlines()


def with_issuer(fields: str) -> str:
    """Give a document with one issuer, whose further fields these are, in flow style."""
    return f"version: 1\nidentity: {{issuers: [{{issuer: https://a.example, audiences: [ai], {fields}}}]}}\n"


def flow(items: Sequence[str]) -> str:
    """Give a list in flow style."""
    return f"[{', '.join(items)}]"

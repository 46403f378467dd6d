"""What `sallyport local` tells its user before it serves."""

from __future__ import annotations

from collections.abc import Iterable

from sallyport_cli.local.stack import Stack


def banner(url: str, stack: Stack, *, upstream: str, emulator: str, demo_key: str | None, model: str) -> Iterable[str]:
    """The lines: what runs where, then two ways to call it that work as pasted."""
    key = demo_key or "$YOUR_KEY"
    yield f"Sallyport at {url}, from {len(stack.functions)} functions and {len(stack.routes)} routes of the template"
    yield f"  upstream   {upstream}"
    yield f"  AWS        {emulator}"
    yield f"  demo key   {demo_key}" if demo_key else "  demo key   none: issue one with `sallyport keys create`"
    yield ""
    yield f"  curl -N {url}/v1/chat/completions -H 'Authorization: Bearer {key}' \\"
    yield "    -H 'Content-Type: application/json' \\"
    yield f'    -d \'{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"Hello, world!"}}]}}\''
    yield ""
    yield "  from openai import OpenAI"
    yield f'  client = OpenAI(base_url="{url}/v1", api_key="{key}")'
    yield f'  stream = client.chat.completions.create(model="{model}", stream=True,'
    yield '      messages=[{"role": "user", "content": "Hello, world!"}])'
    yield "  for chunk in stream:"
    yield '      print(chunk.choices[0].delta.content or "", end="", flush=True)'
    yield ""

"""What `sallyport local` tells its user before it serves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sallyport_cli.local.stack import Stack

KEY_VARIABLE: Final = "SALLYPORT_KEY"


def banner(
    url: str,
    stack: Stack,
    *,
    upstream: str,
    emulator: str,
    demo_key: str | None,
    model: str,
    policy: Path | None = None,
    schedules: Iterable[str] = (),
) -> Iterable[str]:
    """The lines: what runs where, then two ways to call it that work as pasted."""
    yield f"Sallyport at {url}, from {len(stack.functions)} functions and {len(stack.routes)} routes of the template"
    yield f"  region     {stack.region} (its home: only what may be handled there is)"
    yield f"  upstream   {upstream}"
    yield f"  AWS        {emulator}"
    if policy is not None:
        yield f"  policy     {policy} (change it while this runs)"
    for schedule in schedules:
        yield f"  schedule   {schedule}"
    yield f"  demo key   {demo_key or f'none: make one, and put it into {KEY_VARIABLE}, with'}"
    if demo_key is None:
        endpoint = f"--endpoint-url {emulator.split(maxsplit=1)[0]} --region {stack.region} --table ConfigTable"
        yield f"    sallyport keys create {endpoint} --tenant demo --name me"
    yield ""
    yield from _curl(url, demo_key or f"${KEY_VARIABLE}", model)
    yield ""
    yield from _python(url, f'"{demo_key}"' if demo_key else f'os.environ["{KEY_VARIABLE}"]', model)
    yield ""


def _curl(url: str, key: str, model: str) -> Iterable[str]:
    yield f'curl -N {url}/v1/chat/completions -H "Authorization: Bearer {key}" \\'
    yield "  -H 'Content-Type: application/json' \\"
    yield f'  -d \'{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"Hello, world!"}}]}}\''


def _python(url: str, key: str, model: str) -> Iterable[str]:
    """Not indented: Python takes no block that is."""
    if not key.startswith('"'):
        yield "import os"
    yield "from openai import OpenAI"
    yield f'client = OpenAI(base_url="{url}/v1", api_key={key})'
    yield f'stream = client.chat.completions.create(model="{model}", stream=True,'
    yield '    messages=[{"role": "user", "content": "Hello, world!"}])'
    yield "for chunk in stream:"
    yield '    print(chunk.choices[0].delta.content or "", end="", flush=True)'

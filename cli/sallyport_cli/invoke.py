"""`sallyport invoke`: `sam local invoke` without Docker."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from sallyport_cli.emulator import SAM_LOCAL_STACK
from sallyport_cli.local.function_process import FunctionProcess
from sallyport_cli.local.guardian import Guardian
from sallyport_cli.local.integration_responses import collect
from sallyport_cli.local.invocation import StreamCutError, StreamedAnswer
from sallyport_cli.local.parameters import parse_assignments
from sallyport_cli.local.pool import FunctionPool
from sallyport_cli.local.request_log import Console
from sallyport_cli.local.stack import Function, load_stack
from sallyport_cli.local.template_file import TemplateError


@click.command()
@click.argument("function")
@click.option(
    "-e", "--event", required=True, type=click.File(encoding="utf-8"), help="The event; `-` is standard input."
)
@click.option(
    "-n", "--env-vars", type=click.File(encoding="utf-8"), help="Values for the functions' variables, in SAM's format."
)
@click.option("--template", default="template.yaml", show_default=True, type=click.Path(path_type=Path))
@click.option("--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A stack parameter; repeatable.")
@click.option("--region", default=lambda: os.environ.get("AWS_REGION", "us-east-1"), help="[default: us-east-1]")
def invoke(
    *, function: str, event: Any, env_vars: Any, template: Path, parameters: tuple[str, ...], region: str
) -> None:
    """Call FUNCTION, a logical id of the template, with an event, and print what it answers as SAM CLI does."""
    try:
        stack = load_stack(template, parse_assignments(parameters), name=SAM_LOCAL_STACK, region=region)
    except TemplateError as error:
        raise click.ClickException(str(error)) from None
    payload = json.dumps(_read_json(event)).encode()
    overrides = _read_json(env_vars) if env_vars else {}
    if function not in stack.functions:
        raise click.ClickException(f"the template has no function {function}; it has {', '.join(stack.functions)}")
    target = with_overrides(stack.functions[function], overrides)
    sys.stdout.buffer.write(as_sam_prints(asyncio.run(_invoke(target, region, payload))))
    sys.stdout.flush()


def _read_json(file: Any) -> Any:
    try:
        return json.load(file)
    except ValueError as error:
        raise click.ClickException(f"{file.name}: isn't JSON ({error})") from None


def with_overrides(function: Function, overrides: Mapping[str, Any]) -> Function:
    """`function` with an env-vars file applied: "Parameters" for all, then its own; AWS_* may be new, as in SAM."""
    given = {**overrides.get("Parameters", {}), **overrides.get(function.logical_id, {})}
    allowed = {
        name: str(value) for name, value in given.items() if name in function.environment or name.startswith("AWS_")
    }
    return replace(function, environment={**function.environment, **allowed})


def as_sam_prints(answer: bytes) -> bytes:
    """JSON as SAM CLI writes it; anything else, such as a streamed answer with its metadata, as it came."""
    try:
        return json.dumps(json.loads(answer), ensure_ascii=False).encode()
    except ValueError:
        return answer


async def _invoke(function: Function, region: str, payload: bytes) -> bytes:
    console = Console(verbose=True)
    with Guardian() as guardian:
        pool = FunctionPool(
            function,
            region,
            lambda target: FunctionProcess(target, region, None, guardian, console),
            concurrency=1,
        )
        try:
            answer = await pool.invoke(payload)
            if isinstance(answer, StreamedAnswer):
                return await _collect(answer)
            return answer.payload
        finally:
            await pool.settle()
            await pool.close()


async def _collect(answer: StreamedAnswer) -> bytes:
    try:
        return await collect(answer.body)
    except StreamCutError as error:
        raise click.ClickException(f"the answer was cut: {error}") from None

"""What the commands of `sallyport verify` take, and what of it goes together."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import click

from sallyport.gateway.app_requests import METHODS
from sallyport.policy.limit_rules import ROUTES, RouterRules
from sallyport_cli.keys.options import read_tenant, reads
from sallyport_cli.stack_parameters import Parameters
from sallyport_cli.verify.app_bodies import Call
from sallyport_cli.verify.in_force import parameter_option, rules_of

APPS: Final = "apps"


class Question(NamedTuple):
    """What is asked. `call`: of an application, None for a provider's route."""

    route: str
    tenant: str
    rules: RouterRules
    call: Call | None = None


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that both commands have, given to the command as `body` and `question`."""

    @click.argument("file", type=click.Path(dir_okay=False, exists=True, allow_dash=True))
    @click.option("--route", required=True, type=click.Choice(ROUTES), help="The API it is of.")
    @click.option("--policy", type=click.Path(dir_okay=False, exists=True), help="A document.  [default: none]")
    @parameter_option
    @click.option("--tenant", default="", callback=reads(_tenant), help="Whose request it is.")
    @click.option("--app", "app_name", metavar="NAME", help="With --route apps: one of the document's apps.")
    @click.option("--method", type=click.Choice(METHODS), help="With --route apps.  [default: POST]")
    @click.option("--path", metavar="/PATH?QUERY", help="With --route apps: below the app.  [default: /]")
    @click.option("--show", is_flag=True, help="Print the body that would go on; the verdict goes to stderr.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object.")
    @functools.wraps(command)
    def run(
        *,
        file: str,
        route: str,
        policy: str | None,
        parameters: Parameters,
        tenant: str,
        app_name: str | None,
        method: str | None,
        path: str | None,
        header: Sequence[str] = (),
        **options: Any,
    ) -> None:
        rules = rules_of(policy, parameters)
        question = Question(route, tenant, rules)
        if route == APPS:
            call = Call(_named(app_name, rules), method or "POST", _path(path), _headers(header))
            question = question._replace(call=call)
        elif app_name or method or path or header:
            raise click.UsageError("--app, --method, --path and --header go with --route apps alone")
        with click.open_file(file, "rb") as opened:
            command(body=opened.read(), question=question, **options)

    return run


def _tenant(text: str) -> str:
    return read_tenant(text) if text else ""


def _named(name: str | None, rules: RouterRules) -> str:
    if name is None:
        raise click.UsageError("--route apps needs --app")
    if name not in rules.apps:
        raise click.UsageError(f"the document has no app {name!r}" if rules.apps else "apps are in a --policy")
    return name


def _path(path: str | None) -> str:
    if path is not None and not path.startswith("/"):
        raise click.UsageError("--path begins with a slash: it is below the app")
    return path or "/"


def _headers(given: Sequence[str]) -> dict[str, str]:
    headers = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise click.UsageError("--header is like 'x-version: 2'")
        headers[name.strip().lower()] = value.strip()
    return headers

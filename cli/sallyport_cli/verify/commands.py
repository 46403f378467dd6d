"""The commands of `sallyport verify`."""

from __future__ import annotations

import json
import sys
from typing import Final

import click

from sallyport.providers.http_answers import EVENT_STREAM, JSON
from sallyport.verification.answers import STREAMED_ROUTES
from sallyport_cli.verify import app_bodies, provider_bodies
from sallyport_cli.verify.options import Question, asks
from sallyport_cli.verify.outcome import Outcome
from sallyport_cli.verify.output import as_json as in_json
from sallyport_cli.verify.output import in_words
from sallyport_cli.verify.provider_bodies import GivenAnswer

_OK: Final = 200
_STATUSES: Final = click.IntRange(100, 599)


@click.group()
def verify() -> None:
    """Verification: what would become of a request or an answer. Nobody is asked, nothing is sent."""


@verify.command()
@click.option("--content-type", default=JSON, show_default=True, help="The request's.")
@click.option("--header", multiple=True, metavar="'NAME: VALUE'", help="With --route apps; repeatable.")
@asks
def request(*, body: bytes, question: Question, content_type: str, show: bool, as_json: bool) -> None:
    """Try the request body in FILE, `-` for stdin. Exits with 1 if it would be refused.

    Who may call, with which model, from where and how often isn't looked at.
    """
    if question.call is not None:
        headers = {**question.call.headers, **({"content-type": content_type} if body else {})}
        call = question.call._replace(headers=headers)
        outcome = app_bodies.try_request(question.rules, question.tenant, call, body)
    else:
        checks = provider_bodies.checks_of(question.rules, question.route, question.tenant)
        outcome = provider_bodies.try_request(checks, body, content_type)
    _tell(outcome, show=show, as_json=as_json)


@verify.command()
@click.option("--stream", is_flag=True, help="FILE is an event stream, as the upstream sends it in the route's API.")
@click.option("--status", type=_STATUSES, default=_OK, show_default=True, help="The upstream's.")
@click.option("--content-type", help="The upstream's.  [default: that of JSON, or with --stream of events]")
@asks
def response(
    *,
    body: bytes,
    question: Question,
    stream: bool,
    status: int,
    content_type: str | None,
    show: bool,
    as_json: bool,
) -> None:
    """Try the answer of an upstream in FILE, `-` for stdin. Exits with 1 if it would be refused or broken off."""
    answer = GivenAnswer(status, content_type or (EVENT_STREAM if stream else JSON), body)
    if question.call is not None:
        outcome = app_bodies.try_answer(question.rules, question.tenant, question.call, answer)
    elif stream and question.route not in STREAMED_ROUTES:
        raise click.UsageError(f"{question.route} doesn't stream")
    else:
        checks = provider_bodies.checks_of(question.rules, question.route, question.tenant)
        outcome = provider_bodies.try_answer(checks, answer, stream=stream)
    _tell(outcome, show=show, as_json=as_json)


def _tell(outcome: Outcome, *, show: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(in_json(outcome, show=show)))
    else:
        click.echo(in_words(outcome), err=show)
        if show and outcome.passed is not None:
            click.echo(outcome.passed, nl=not outcome.passed.endswith(b"\n"))
    sys.exit(0 if outcome.refusal is None else 1)

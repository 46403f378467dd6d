"""What the functions print is shown when it matters."""

import io
import json

from sallyport_cli.local.request_log import Console


def shown(*lines: str, verbose: bool = False, crash: str | None = None) -> str:
    stream = io.StringIO()
    console = Console(verbose=verbose, stream=stream)
    for line in lines:
        console.line("F", line)
    if crash:
        console.crashed("F", crash)
    return stream.getvalue()


INFO, ERROR = (json.dumps({"level": level, "message": "m", "errorMessage": "why"}) for level in ("INFO", "ERROR"))


def test_only_warnings_and_worse_are_shown() -> None:
    assert shown("print", INFO, "[INFO] x", "[ERROR] y", ERROR) == "  F | [ERROR] y\n  F | ERROR m why\n"


def test_the_reason_of_a_refusal_is_shown_and_an_allow_is_not() -> None:
    lines = [
        json.dumps({"level": "INFO", "message": "authorization", "decision": decision, "reason": reason})
        for decision, reason in (("allowed", ""), ("unauthorized", "token_expired"), ("denied", "denied_by_list"))
    ]
    assert shown(*lines) == "  F | unauthorized: token_expired\n  F | denied: denied_by_list\n"


def test_what_becomes_of_a_canary_is_shown() -> None:
    verdict = {
        "level": "INFO",
        "message": "canary verdict",
        "canary": "next",
        "action": "roll_back",
        "reason": "errors",
    }
    assert shown(json.dumps(verdict)) == "  F | canary next: roll back: errors\n"


def test_a_line_of_any_json_is_a_line() -> None:
    assert shown(json.dumps({"decision": []}), json.dumps([{"decision": {}}]), "1") == ""


def test_verbose_shows_every_line_as_it_is() -> None:
    assert shown("print", INFO, verbose=True) == f"  F | print\n  F | {INFO}\n"


def test_a_log_has_every_line_as_it_is() -> None:
    log = io.StringIO()
    console = Console(stream=io.StringIO(), log=log)
    for line in ("print", INFO, ERROR):
        console.line("F", line)
    assert log.getvalue() == f"print\n{INFO}\n{ERROR}\n"


def test_a_crash_shows_what_came_before_it() -> None:
    assert shown("last words", crash="exit status 1") == "  F | last words\n  F | exit status 1\n"

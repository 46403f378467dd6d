"""`sallyport residency verify` and `report` as an operator uses them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from sallyport.adapters.upstream_http import HttpTransport
from sallyport.gateway.decisions import Decisions, Subject
from sallyport.gateway.upstreams import NoSecret, Upstream
from sallyport.policy.upstream_rules import UpstreamRules
from sallyport_cli.main import main
from tests.functional.residency.chain_of import Instance
from tests.functional.residency.conftest import Gateway, Run
from tests.support.aws import table_properties
from tests.support.servers import ScriptedServer, serve


@pytest.fixture
def served(gateway: Gateway) -> Gateway:
    """One instance that served 4 requests."""
    instance = gateway.instance()
    for _ in range(4):
        instance.request()
    return gateway


def verify(run: Run, gateway: Gateway, *options: str) -> Any:
    return run("residency", "verify", "--log-file", "-", *options, stdin=gateway.text())


def report(run: Run, gateway: Gateway, *options: str) -> Any:
    return run("residency", "report", "--tenant", "acme", "--log-file", "-", *options, stdin=gateway.text())


def reported(run: Run, gateway: Gateway, *options: str) -> dict[str, Any]:
    found = json.loads(report(run, gateway, "--json", *options).stdout)
    assert isinstance(found, dict)
    return found


def test_verify_says_that_all_is_whole(run: Run, served: Gateway) -> None:
    result = verify(run, served)
    first, last = result.stdout.splitlines()
    assert (result.exit_code, first) == (0, "s-chat/0a: records: 8, 1 to 8")
    assert last.endswith("chains: 1, records: 8, of these chained and not anchored yet: 0: all whole")


def test_verify_says_what_is_wrong_and_fails(run: Run, served: Gateway) -> None:
    del served.lines[2]
    served.lines.pop()
    result = verify(run, served)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1:3] == [
        "  removed: record 3 is missing before record 4",
        "  cut: record 8 is missing, and anchored",
    ]
    assert result.stdout.splitlines()[-1].endswith("NOT WHOLE, faults: 2")


def test_verify_tells_as_json(run: Run, served: Gateway) -> None:
    served.lines[0] = served.lines[0].replace('"seq": 1', '"seq": "1"')
    result = verify(run, served, "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["ok"], found["unreadable"]) == (1, False, 1)
    assert found["chains"] == [
        {
            "chain": "s-chat/0a",
            "records": 7,
            "after_last_anchor": 0,
            "faults": [{"kind": "removed", "text": "record 1 is missing before record 2"}],
        }
    ]


def test_verify_finds_logs_that_are_gone(run: Run, served: Gateway) -> None:
    served.lines.clear()
    result = verify(run, served)
    assert (result.exit_code, result.stdout.splitlines()[1]) == (
        1,
        "  missing: records 1 to 8 are missing, and anchored",
    )


def test_verify_steers_no_terminal(run: Run, served: Gateway) -> None:
    served.instance("s-chat/\x1b[31m0b").request()
    assert "\x1b" not in verify(run, served).stdout


def test_report_says_where_data_went_and_that_nothing_left(run: Run, served: Gateway) -> None:
    result = report(run, served)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[1].split() == ["REGIONS", "UPSTREAM", "HOST", "MODEL", "BASIS", "SENT", "FIRST", "LAST"]
    assert lines[2].split()[:6] == ["eu-west-1", "eu", "eu.example.com", "gpt", "declared", "4"]
    assert lines[3:] == [
        "requests that were sent: 4, times that something was sent: 4",
        "nothing left its residency: 4 of 4",
        "proved (AWS's own endpoint of the region): 0",
        "declared (the region is what the operator says of the upstream): 4",
    ]


def test_report_keeps_places_and_tenants_apart(run: Run, served: Gateway) -> None:
    instance = served.instance("s-chat/0b")
    instance.request(tenant="other", regions=["us-east-1"], region="us-east-1")
    instance.request(upstream="fra", region="eu-central-1", regions=["eu-central-1", "eu-west-1"], basis="proved")
    found = reported(run, served)
    assert [(place["regions"], place["basis"], place["sent"]) for place in found["places"]] == [
        (["eu-central-1", "eu-west-1"], "proved", 1),
        (["eu-west-1"], "declared", 4),
    ]
    assert (found["ok"], found["requests"], found["left"]) == (True, 5, [])


def guard_asked(instance: Instance, region: str) -> Decisions:
    """Ask a guard about a request's prompt, as a route does."""
    rules = UpstreamRules("checker", "guard", "https://guard.example.com", region)
    decisions = Decisions(instance.trail, f"asked-{region}", "chat_completions", "eu-central-1")
    decisions.begin(Subject("acme", ("eu-central-1", "eu-west-1"), 3, "m"), ())
    decisions.consult(Upstream(rules, "guard.example.com", None, HttpTransport(rules.base_url, 1, 1), NoSecret()), "g")
    return decisions


def test_report_lists_guards_among_the_places(run: Run, served: Gateway) -> None:
    instance = served.instance("s-chat/0b")
    refused = guard_asked(instance, "eu-central-1")
    refused.refuse("prompt_refused")
    refused.end(status=400)
    guard_asked(instance, "eu-west-1").end(status=429)
    instance.trail.anchor_if_due()
    found = reported(run, served)
    assert [(place["upstream"], place["host"], place["regions"], place["sent"]) for place in found["places"]] == [
        ("checker", "guard.example.com", ["eu-central-1"], 1),
        ("checker", "guard.example.com", ["eu-west-1"], 1),
        ("eu", "eu.example.com", ["eu-west-1"], 4),
    ]
    assert (found["ok"], found["left"], found["requests"]) == (True, [], 6)
    assert (found["refused"], found["without_outcome"]) == ({"prompt_refused": 1}, 0)


def test_report_finds_a_guard_outside_of_the_residency(run: Run, served: Gateway) -> None:
    guard_asked(served.instance("s-chat/0b"), "us-east-1").end(status=200)
    assert "request asked-us-east-1: sent to us-east-1, outside of eu-central-1, eu-west-1" in (
        report(run, served).stdout.splitlines()
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"region": "us-east-1", "regions": ["us-east-1"]}, "sent to us-east-1, outside of eu-central-1, eu-west-1"),
        ({"regions": ["eu-west-1", "us-east-1"]}, "sent to us-east-1, outside of eu-central-1, eu-west-1"),
        ({"regions": []}, "the record doesn't say where it went"),
        ({"regions": None}, "the record doesn't say where it went"),
        ({"region": "us-east-1"}, "the record doesn't say where it went"),
        ({"verdict": "unknown"}, "the record doesn't say where it went"),
        ({"residency": []}, "sent to eu-west-1, outside of no residency"),
        ({"residency": None}, "sent to eu-west-1, outside of no residency"),
        ({"residency": "eu-west-1"}, "sent to eu-west-1, outside of no residency"),
        ({"residency": ["eu-west-1"]}, "handled in eu-central-1, outside of eu-west-1"),
        ({"home": None}, "the record doesn't say where it was handled"),
        ({"regions": ["eu-west-1", "global"]}, "sent to a target that processes anywhere, without permission"),
    ],
    ids=str,
)
def test_report_finds_what_left(run: Run, served: Gateway, fields: dict[str, Any], reason: str) -> None:
    served.instance("s-chat/0b").request(**fields)
    result = report(run, served)
    assert result.exit_code == 1
    assert f"request s-chat/0b-1: {reason}" in result.stdout.splitlines()
    assert "LEFT ITS RESIDENCY: 1 times" in result.stdout.splitlines()
    assert "nothing left" not in result.stdout


def test_report_tells_of_targets_that_process_anywhere_by_permission(run: Run, served: Gateway) -> None:
    regions, considered = ["eu-west-1", "global"], ["eu/gpt eu-west-1+global eligible"]
    served.instance("s-chat/0b").request(regions=regions, considered=considered)
    result = report(run, served)
    assert result.exit_code == 0
    assert "by the operator's permission to targets that process anywhere: 1" in result.stdout.splitlines()


def test_report_finds_an_answer_of_what_nothing_was_sent_to(run: Run, served: Gateway) -> None:
    instance = served.instance("s-chat/0b")
    instance.request(outcome=False)
    instance.trail.outcome(request_id="s-chat/0b-1", tenant="acme", upstream="us", region="us-east-1")
    instance.now_s += 60
    instance.trail.anchor_if_due()
    found = reported(run, served)
    assert found["left"] == ["request s-chat/0b-1: answered by us, which no decision names"]


def test_report_counts_refusals_and_what_has_no_outcome(run: Run, served: Gateway) -> None:
    instance = served.instance("s-chat/0b")
    nowhere: dict[str, Any] = {
        "upstream": None,
        "region": None,
        "regions": None,
        "host": None,
        "model": None,
        "basis": None,
    }
    instance.request(verdict="refuse", code="residency_violation", **nowhere)
    instance.request(outcome=False)
    lines = report(run, served).stdout.splitlines()
    assert "requests that were sent: 5, times that something was sent: 5" in lines
    assert "of these requests without an outcome: 1 (under way, or their function was killed)" in lines
    assert "refused with residency_violation: 1" in lines


def test_report_proves_nothing_by_broken_chains(run: Run, served: Gateway) -> None:
    served.lines[6] = served.lines[6].replace("eu.example.com", "eu.example.org")
    result = report(run, served)
    assert result.exit_code == 1
    assert "nothing left" not in result.stdout
    assert "so nothing is proved" in result.stdout


@pytest.mark.parametrize("name", ["seq", "time_ms"])
def test_a_number_beyond_all_bounds_is_a_fault_and_no_error(run: Run, served: Gateway, name: str) -> None:
    served.lines[0] = json.dumps(json.loads(served.lines[0]) | {name: 10**400})
    assert verify(run, served).exit_code == 1
    result = report(run, served)
    assert (result.exit_code, "chains aren't whole" in result.stdout) == (1, True)
    assert reported(run, served)["chains_whole"] is False


def test_a_chain_whose_name_is_no_text_is_unreadable(run: Run, served: Gateway) -> None:
    served.lines.append(json.dumps(json.loads(served.lines[0]) | {"chain": "\ud800"}))
    result = verify(run, served)
    assert (result.exit_code, "unreadable: 1 lines" in result.stdout) == (1, True)
    assert report(run, served).exit_code == 1


def test_report_tells_how_many_records_no_anchor_vouches_for(run: Run, served: Gateway) -> None:
    assert (reported(run, served)["after_last_anchor"], "vouches" in report(run, served).stdout) == (0, False)
    served.dynamodb.delete_table(TableName="AnchorsTable")
    served.dynamodb.create_table(TableName="AnchorsTable", **table_properties("AnchorsTable"))
    assert reported(run, served)["after_last_anchor"] == 8


def test_report_of_a_tenant_without_requests(run: Run, served: Gateway) -> None:
    result = run("residency", "report", "--tenant", "nobody", "--log-file", "-", stdin=served.text())
    assert result.exit_code == 0
    assert "requests that were sent: 0, times that something was sent: 0" in result.stdout


def test_report_looks_back_as_far_as_it_is_told(run: Run, served: Gateway) -> None:
    assert reported(run, served, "--since", "2h")["requests"] == 4
    assert reported(run, served, "--since", "30m")["requests"] == 0


def test_records_come_from_somewhere(run: Run) -> None:
    result = run("residency", "verify")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2,
        "Error: give --stack, whose logs are read, or --log-file",
    )


def test_a_file_that_is_not_there_is_one_line(run: Run) -> None:
    result = run("residency", "verify", "--log-file", "nowhere")
    assert (result.exit_code, result.stderr) == (1, "Error: nowhere: No such file or directory\n")


BODIES = [b"", b"OK", b"[]", b"null", b"<html></html>", b'{"Items": [{}]}', b'{"Items": 5}']


@pytest.fixture(params=BODIES, ids=repr)
def yes_man(request: pytest.FixtureRequest) -> Iterator[str]:
    """Answers 200 and the same body to anything."""
    answer = serve(lambda _, peer: peer.answer(200, request.param, content_type="application/x-amz-json-1.0"), [])
    with ScriptedServer(answer) as server:
        yield server.url


@pytest.mark.parametrize("command", [("verify",), ("report", "--tenant", "acme")])
def test_what_answers_200_to_anything_proves_nothing(yes_man: str, command: tuple[str, ...]) -> None:
    arguments = ("residency", *command, "--endpoint-url", yes_man, "--log-file", "-")
    result = CliRunner(mix_stderr=False).invoke(main, arguments, input="")
    assert isinstance(result.exception, SystemExit), result.exception
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
    assert result.stderr.startswith("Error: table AnchorsTable: ")

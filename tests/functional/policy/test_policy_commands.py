"""`sallyport policy` as an operator uses it."""

import json

from jsonschema import Draft202012Validator

from tests.functional.policy.conftest import Run
from tests.support.servers import refused_url

FIRST = "# ours\nversion: 1\naccess: {deny: [203.0.113.0/24]}  # noisy\n"
SECOND = "version: 1\naccess: {deny: [192.0.2.0/24]}\n"
BROKEN = "version: 1\naccess: {deny: [10.0.0.1/8]}\n"
IN_FORCE = "in force within PolicyRefreshSeconds (10 by default)"


def test_schema_is_one(run: Run) -> None:
    Draft202012Validator.check_schema(json.loads(run("policy", "schema", target=False).stdout))


def test_validate_says_what_is_valid_and_what_is_not(run: Run) -> None:
    good = run("policy", "validate", "policy.yaml", text=FIRST, target=False)
    assert (good.exit_code, good.stdout) == (0, "policy.yaml: valid\n")
    bad = run("policy", "validate", "policy.yaml", "missing.yaml", text=BROKEN, target=False)
    assert (bad.exit_code, bad.stdout) == (1, "")
    assert bad.stderr.splitlines() == [
        "policy.yaml:2: access.deny[0]: '10.0.0.1/8': has bits set after its prefix; meant is 10.0.0.0/8 or 10.0.0.1",
        "missing.yaml: No such file or directory",
    ]
    assert run("policy", "validate", "-", stdin="version: 2", target=False).stderr == "<stdin>:1: version: must be 1\n"
    assert run("policy", "validate", target=False).exit_code == 2


def test_validate_warns_on_stderr(run: Run) -> None:
    result = run(
        "policy", "validate", "policy.yaml", text="version: 1\naccess: {countries: {deny: [KP]}}", target=False
    )
    assert (result.exit_code, result.stdout) == (0, "policy.yaml: valid\n")
    assert result.stderr.startswith("policy.yaml:2: access.countries: warning: ")


def test_loopback_urls_are_for_local_mode(run: Run) -> None:
    issuer = "{issuer: http://127.0.0.1:1, audiences: [a], algorithms: [RS256]}"
    text = f"version: 1\nidentity: {{issuers: [{issuer}]}}\n"
    assert run("policy", "validate", "policy.yaml", text=text, target=False).exit_code == 1
    assert run("policy", "validate", "policy.yaml", "--local", target=False).exit_code == 0
    assert run("policy", "apply", "policy.yaml").exit_code == 0


def test_apply_shows_what_it_changes(run: Run) -> None:
    first = run("policy", "apply", "policy.yaml", "--note", "at first", text=FIRST)
    assert first.stdout == f"+ access\n+ access.deny: 203.0.113.0/24\nversion 1 applied; {IN_FORCE}\n"
    assert run("policy", "apply", "policy.yaml").stdout == "version 1 is in force already\n"
    second = run("policy", "apply", "policy.yaml", text=SECOND)
    lines = "- access.deny: 203.0.113.0/24\n+ access.deny: 192.0.2.0/24\n"
    assert second.stdout == f"{lines}version 2 applied; {IN_FORCE}\n"
    back = run("policy", "rollback")
    assert back.stdout.endswith(f"version 3 applied; {IN_FORCE}\n")
    assert run("policy", "show").stdout == FIRST


def test_a_broken_document_is_not_applied(run: Run) -> None:
    refused = run("policy", "apply", "policy.yaml", text=BROKEN)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert run("policy", "history").stderr == "no policy was ever applied\n"


def test_diff_touches_nothing(run: Run) -> None:
    run("policy", "apply", "policy.yaml", text=FIRST)
    same = run("policy", "diff", "policy.yaml", "--exit-code")
    assert (same.exit_code, same.stdout, same.stderr) == (0, "", "no differences\n")
    other = run("policy", "diff", "policy.yaml", text=SECOND)
    assert (other.exit_code, other.stdout) == (0, "- access.deny: 203.0.113.0/24\n+ access.deny: 192.0.2.0/24\n")
    assert run("policy", "diff", "policy.yaml", "--exit-code").exit_code == 1
    assert run("policy", "show").stdout == FIRST


def test_show_gives_the_document_byte_for_byte_and_ip_entries_after_it(run: Run) -> None:
    text = "# é\r\nversion: 1  \r\ntenants: {}"
    run("policy", "apply", "-", stdin=text)
    assert run("policy", "show").stdout_bytes == text.encode()
    run("ip", "deny", "192.0.2.9", "--note", "scraper")
    shown = run("policy", "show").stdout_bytes.decode()
    assert shown.startswith(f"{text}\n# by sallyport ip:\n#   deny 192.0.2.9  ")
    assert run("policy", "show", "--version", "1").stdout_bytes == text.encode()
    shown_json = json.loads(run("policy", "show", "--output", "json").stdout)
    assert (shown_json["version"], shown_json["document"]) == (2, text)
    assert shown_json["ip"]["deny"][0]["network"] == "192.0.2.9"


def test_history_is_newest_first(run: Run) -> None:
    run("policy", "apply", "policy.yaml", "--note", "at first", text=FIRST)
    run("policy", "apply", "policy.yaml", text=SECOND)
    lines = run("policy", "history").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["2", "1"]
    assert lines[1].endswith("apply  (at first)")
    [newest] = json.loads(run("policy", "history", "--output", "json", "--limit", "1").stdout)
    assert (newest["version"], newest["action"]) == (2, "apply")


def test_what_can_t_be_done_is_said_in_a_line(run: Run) -> None:
    assert run("policy", "show").stderr.startswith("Error: no policy was ever applied")
    assert run("policy", "rollback").stderr == "Error: table ConfigTable: nothing was ever applied\n"
    assert run("policy", "show", "--version", "9").stderr == "Error: table ConfigTable: there is no version 9\n"
    unreachable = run("policy", "history", "--endpoint-url", refused_url(), target=False)
    assert (unreachable.exit_code, "Could not connect" in unreachable.stderr) == (1, True)
    assert run("policy", "apply", "policy.yaml", "--note", "a\nb", text=FIRST).exit_code == 2
    assert run("policy", "rollback", "0").exit_code == 2

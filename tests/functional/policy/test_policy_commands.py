"""`sallyport policy` as an operator uses it."""

import json

import pytest
from jsonschema import Draft202012Validator

from sallyport.adapters.aws_client import DYNAMODB, AwsClient
from sallyport.adapters.dynamodb_policy import DynamoDbPolicyStore
from sallyport.policy.limit_rules import Price, RouterRules
from sallyport.policy.router_rules import merge_router
from sallyport_cli.policy.stored import POINTER_KEY
from sallyport_cli.policy.table import PolicyTable
from tests.functional.policy.conftest import Run
from tests.support.aws import CONFIG_TABLE, LOCAL_AWS, Emulator
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


LIMITS = """\
version: 1
limits: [{scope: tenant, unit: usd, limit: 0.1, window: month, match: {models: gpt-4o}}]
models: {gpt-4o: {max_output_tokens: 16384, price: {input: 2.5, output: 10}}, free: {max_output_tokens: 9}}
tenants: {acme: {limits: [{scope: tenant, unit: usd, window: month, limit: none}]}}
"""


def test_limits_that_are_applied_reach_the_routers(run: Run, emulator: Emulator) -> None:
    applied = run("policy", "apply", "policy.yaml", text=LIMITS)
    assert "+ limits.tenant-usd-month: $0.1 in a month for each tenant, of the models gpt-4o\n" in applied.stdout
    store = DynamoDbPolicyStore(AwsClient(DYNAMODB, {**LOCAL_AWS, "AWS_ENDPOINT_URL": emulator.url}), CONFIG_TABLE)
    pointer = store.read_pointer()
    assert pointer is not None
    compiled = json.loads(store.read_compiled(pointer))
    rules = merge_router(RouterRules(0, (), {}, None), compiled, pointer.version)
    assert [(rule.name, rule.limit) for rule in rules.limits] == [("tenant-usd-month", 100_000_000)]
    assert rules.tenant_limits == {"acme": {"tenant-usd-month": None}}
    assert rules.models is not None
    assert rules.models["gpt-4o"].price == Price(2_500_000, 10_000_000, 2_500_000)
    changed = run("policy", "diff", "policy.yaml", text=LIMITS.replace("limit: 0.1", "limit: 2"))
    assert changed.stdout == (
        "~ limits.tenant-usd-month: $0.1 in a month for each tenant, of the models gpt-4o -> "
        "$2 in a month for each tenant, of the models gpt-4o\n"
    )


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


def test_show_gives_the_document_byte_for_byte_and_ip_entries_beside_it(run: Run) -> None:
    text = "# é\r\nversion: 1  \r\ntenants: {}"
    run("policy", "apply", "-", stdin=text)
    assert run("policy", "show").stdout_bytes == text.encode()
    run("ip", "deny", "192.0.2.9", "--note", "scraper")
    shown = run("policy", "show")
    assert (shown.stdout_bytes, "  deny 192.0.2.9  " in shown.stderr) == (text.encode(), True)
    assert run("policy", "apply", "-", stdin=shown.stdout_bytes).stdout == "version 2 is in force already\n"
    assert run("policy", "show", "--version", "1").stdout_bytes == text.encode()
    shown_json = json.loads(run("policy", "show", "--output", "json").stdout)
    assert (shown_json["version"], shown_json["document"]) == (2, text)
    assert shown_json["ip"]["deny"][0]["network"] == "192.0.2.9"


def test_diff_tells_a_document_that_says_the_same_in_other_words(run: Run) -> None:
    run("policy", "apply", "policy.yaml", text=FIRST)
    other = run("policy", "diff", "policy.yaml", "--exit-code", text=f"# theirs\n{FIRST}")
    assert (other.exit_code, other.stdout) == (0, "")
    assert other.stderr.startswith("only comments differ")


@pytest.mark.parametrize(
    ("before", "after", "warning"),
    [
        ("{}", "{allow: [192.0.2.0/24]}", "the allow list was empty and isn't any more: only what is listed can call"),
        ("{allow: [192.0.2.0/24]}", "{}", "the allow list is empty from now on: everyone who isn't denied can call"),
        ("{}", "{deny: [0.0.0.0/1, 128.0.0.0/1]}", "all of IPv4 is denied: nobody with such an address can call"),
        ("{}", "{deny: ['::/0']}", "all of IPv6 is denied"),
    ],
)
def test_what_a_document_does_to_everyone_is_warned_of_once(run: Run, before: str, after: str, warning: str) -> None:
    run("policy", "apply", "policy.yaml", text=f"version: 1\naccess: {before}\n")
    flipped = run("policy", "apply", "policy.yaml", text=f"version: 1\naccess: {after}\n")
    assert flipped.stderr.startswith(f"warning: {warning}")
    assert len(flipped.stderr.splitlines()) == 1
    assert run("policy", "apply", "policy.yaml", text=f"version: 1\n# more\naccess: {after}\n").stderr == ""
    assert warning not in run("policy", "rollback", "1").stderr
    assert warning in run("policy", "rollback", "2").stderr


def test_a_document_that_leaves_the_allow_list_to_the_ip_command_is_warned_of(run: Run) -> None:
    run("policy", "apply", "policy.yaml", text="version: 1\naccess: {allow: [192.0.2.0/24]}\n")
    run("ip", "allow", "198.51.100.7")
    ended = run("policy", "apply", "policy.yaml", text="version: 1\naccess: {}\n")
    assert ended.stderr == (
        "warning: the document allows no networks any more: only what `sallyport ip allow` added can call\n"
    )
    gone = run("policy", "diff", "policy.yaml", text="version: 1\n")
    assert gone.stdout == "- access\n"


def test_a_pointer_that_vanished_is_restored(run: Run, emulator: Emulator) -> None:
    run("policy", "apply", "policy.yaml", text=FIRST)
    run("ip", "deny", "198.51.100.66")
    for restore in (("apply", "policy.yaml"), ("rollback", "2")):
        emulator.dynamodb.delete_item(TableName=CONFIG_TABLE, Key=dict(POINTER_KEY))
        for command in (("policy", "show"), ("policy", "rollback"), ("ip", "deny", "192.0.2.1")):
            refused = run(*command)
            assert (refused.exit_code, "`sallyport policy rollback " in refused.stderr) == (1, True)
        restored = run("policy", *restore)
        assert (restored.exit_code, "had vanished; it is restored" in restored.stderr) == (0, True)
        assert "198.51.100.66" in run("ip", "list").stdout
    assert [line.split()[0] for line in run("policy", "history").stdout.splitlines()] == ["4", "3", "2", "1"]


def test_ip_entries_that_can_t_be_read_are_dropped_on_demand_alone(run: Run, emulator: Emulator) -> None:
    run("policy", "apply", "policy.yaml", text=FIRST)
    run("ip", "deny", "198.51.100.66")
    current = PolicyTable(emulator.dynamodb, CONFIG_TABLE).current()
    assert current is not None
    emulator.dynamodb.delete_item(TableName=CONFIG_TABLE, Key=current.version.source.key(0))
    refused = run("policy", "apply", "policy.yaml", text=SECOND)
    assert (refused.exit_code, "--drop-ip-entries applies the document without it" in refused.stderr) == (1, True)
    assert run("ip", "deny", "192.0.2.9").exit_code == 1
    dropped = run("policy", "apply", "policy.yaml", "--drop-ip-entries")
    assert (dropped.exit_code, "what was in force can't be read any more" in dropped.stderr) == (0, True)
    assert run("ip", "list").stdout == ""
    run("policy", "apply", "policy.yaml", text=FIRST)
    assert run("policy", "rollback", "1").exit_code == 0


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

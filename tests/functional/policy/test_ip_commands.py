"""`sallyport ip` as an operator uses it."""

import json

import pytest

from sallyport_cli.key_items import KeyGrant, create_key, item_key
from sallyport_cli.policy.documents import Document, read_document
from sallyport_cli.policy.table import PolicyTable
from tests.functional.policy.conftest import Run
from tests.support.aws import CONFIG_TABLE, Emulator

POLICY = """\
version: 1
access:
  allow:
    - 198.51.100.0/24
  deny: [203.0.113.0/24]
tenants: {acme: {suspended: true}}
"""


def entries(run: Run) -> dict[str, list[str]]:
    listed = json.loads(run("ip", "list", "--output", "json").stdout)
    return {name: [entry["network"] for entry in listed[name]] for name in ("allow", "deny")}


def test_entries_are_added_and_taken_back(run: Run) -> None:
    denied = run("ip", "deny", "203.0.113.9", "2001:db8::/32", "--note", "scraper")
    assert denied.stdout.startswith("+ ip.deny: 203.0.113.9\n+ ip.deny: 2001:db8::/32\nversion 1 applied; in force")
    assert run("ip", "deny", "::ffff:203.0.113.9").stdout == "version 1 is in force already\n"
    assert entries(run) == {"allow": [], "deny": ["203.0.113.9", "2001:db8::/32"]}
    assert run("ip", "list").stdout.splitlines()[0].endswith("scraper")
    assert run("ip", "remove", "203.0.113.9/32").exit_code == 0
    assert entries(run)["deny"] == ["2001:db8::/32"]
    assert "ip remove 203.0.113.9/32" in run("policy", "history").stdout
    run("policy", "apply", "policy.yaml", text=POLICY)
    assert entries(run)["deny"] == ["2001:db8::/32"]


def test_turning_the_allow_list_on_or_off_takes_a_yes(run: Run) -> None:
    refused = run("ip", "allow", "198.51.100.7")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("this turns the allow list on: only what is listed can call from then on")
    assert run("ip", "allow", "198.51.100.7", "--parameter", "IpAllowList=192.0.2.0/24").exit_code == 0
    assert run("ip", "allow", "198.51.100.8").exit_code == 0
    off = run("ip", "remove", "198.51.100.7", "198.51.100.8")
    assert off.stderr.startswith("this turns the allow list off")
    assert run("ip", "remove", "198.51.100.7", "198.51.100.8", "--yes").exit_code == 0
    assert run("ip", "allow", "198.51.100.7", "--yes").exit_code == 0


def test_a_document_s_allow_list_is_on_already(run: Run) -> None:
    run("policy", "apply", "policy.yaml", text=POLICY)
    assert run("ip", "allow", "192.0.2.7").exit_code == 0
    assert run("ip", "remove", "192.0.2.7").exit_code == 0


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"])
def test_denying_everyone_takes_a_yes(run: Run, network: str) -> None:
    assert "would be denied: nobody with such an address could call; say --yes" in run("ip", "deny", network).stderr
    assert run("ip", "deny", network, "--yes").exit_code == 0


def test_denying_everyone_bit_by_bit_takes_a_yes(run: Run) -> None:
    refused = run("ip", "deny", "0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/2")
    assert refused.stderr.startswith("all of IPv4 would be denied")
    run("policy", "apply", "policy.yaml", text="version: 1\naccess: {deny: [0.0.0.0/1]}\n")
    assert run("ip", "deny", "128.0.0.0/2").exit_code == 0
    assert run("ip", "deny", "192.0.0.0/2").exit_code == 1
    warned = run("ip", "deny", "192.0.0.0/2", "--yes")
    assert warned.stderr == "warning: all of IPv4 is denied: nobody with such an address can call from now on\n"
    assert run("ip", "deny", "203.0.113.9").stderr == ""


def test_an_allow_list_that_is_turned_on_is_warned_of(run: Run) -> None:
    run("policy", "apply", "policy.yaml", text="version: 1\n")
    warned = run("ip", "allow", "198.51.100.7", "--yes")
    assert warned.stderr.startswith("warning: the allow list was empty and isn't any more")
    assert run("ip", "allow", "198.51.100.8").stderr == ""


def test_what_the_document_says_is_changed_there(run: Run) -> None:
    run("policy", "apply", "policy.yaml", text=POLICY)
    run("ip", "deny", "192.0.2.9")
    refused = run("ip", "remove", "192.0.2.9", "203.0.113.0/24", "198.51.100.0/24", "192.0.2.10")
    assert refused.stderr.splitlines() == [
        "203.0.113.0/24 is in the policy document, line 5: change it there",
        "198.51.100.0/24 is in the policy document, line 4: change it there",
        "192.0.2.10 is on neither list",
    ]
    assert entries(run)["deny"] == ["192.0.2.9"]


def test_networks_come_from_a_file_too(run: Run) -> None:
    read = run("ip", "deny", "--file", "policy.yaml", text="192.0.2.1 # one\n\n# none\n192.0.2.0/28\n192.0.2.1\n")
    assert read.exit_code == 0
    assert entries(run)["deny"] == ["192.0.2.1", "192.0.2.0/28"]
    refused = run("ip", "deny", "1.2.3.4/8", "--file", "policy.yaml", text="192.0.2.1\n010.0.0.1\n")
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[0].startswith("'1.2.3.4/8': has bits set after its prefix")
    assert refused.stderr.splitlines()[1].startswith("policy.yaml:2: '010.0.0.1': Leading zeros")
    many = "".join(f"10.{i >> 8}.{i & 255}.1\n" for i in range(10_001))
    assert "at most 10,000 entries" in run("ip", "deny", "--file", "policy.yaml", text=many).stderr
    bom = run("ip", "deny", "--file", "policy.yaml", text="\ufeff192.0.2.77\r\n# none\u2028 192.0.2.78\r\n")
    assert bom.stdout.startswith("+ ip.deny: 192.0.2.77\nversion ")
    empty = run("ip", "deny", "--file", "policy.yaml", text="# none\n")
    assert (empty.exit_code, empty.stderr) == (1, "policy.yaml: has no networks\n")
    assert run("ip", "deny", "--file", "missing").stderr == "missing: No such file or directory\n"
    assert run("ip", "deny").exit_code == 2


def test_list_counts_the_document_s_networks(run: Run) -> None:
    run("policy", "apply", "policy.yaml", text=POLICY)
    assert json.loads(run("ip", "list", "--output", "json").stdout)["document"] == {"allow": 1, "deny": 1}
    assert "access.deny of the policy document: 1 more" in run("ip", "list").stderr


def test_an_address_is_denied_though_the_document_can_t_be_read_any_more(run: Run, emulator: Emulator) -> None:
    known = read_document("version: 1", "policy.yaml", local=True)
    table = PolicyTable(emulator.dynamodb, CONFIG_TABLE)
    table.apply(Document(known.name, "version: 2", known.policy, known.lines), "test")
    assert run("ip", "deny", "192.0.2.9").exit_code == 0
    listed = run("ip", "list")
    assert listed.exit_code == 1
    assert "policy.yaml:1: version: must be 1" in listed.stderr
    replaced = run("policy", "apply", "policy.yaml", text=POLICY)
    assert replaced.exit_code == 0
    assert replaced.stdout.startswith("version 3 applied")
    assert "can't be listed: policy.yaml:1: version: must be 1" in replaced.stderr


def test_check_names_the_rule_that_decides(run: Run) -> None:
    run("policy", "apply", "policy.yaml", text=POLICY)
    run("ip", "deny", "198.51.100.66", "--note", "scraper")
    denied = run("ip", "check", "::ffff:203.0.113.9", "--exit-code")
    assert denied.exit_code == 1
    assert denied.stdout.splitlines() == [
        "203.0.113.9 may not call: ip_denied, global deny has 203.0.113.0/24 (policy document, line 5)",
        "  refuses  global deny has 203.0.113.0/24 (policy document, line 5)",
    ]
    assert "(sallyport ip deny: scraper)" in run("ip", "check", "198.51.100.66").stdout
    assert "tenant_suspended" in run("ip", "check", "198.51.100.7", "--tenant", "acme").stdout
    allowed = run("ip", "check", "198.51.100.7")
    assert allowed.stdout.splitlines()[0] == "198.51.100.7 may call"
    assert allowed.stderr == "stack parameters weren't looked at: give --stack, or --parameter\n"
    by_parameter = run("ip", "check", "198.51.100.7", "--parameter", "IpDenyList=198.51.100.7", "--output", "json")
    answer = json.loads(by_parameter.stdout)
    assert (answer["allowed"], answer["code"], answer["steps"][0]["origin"]) == (
        False,
        "ip_denied",
        "stack parameter IpDenyList",
    )


def test_check_says_what_it_didn_t_look_at(run: Run) -> None:
    unlooked = "stack parameters weren't looked at: give --stack, or --parameter\n"
    run("ip", "allow", "198.51.100.7", "--yes")
    refused = run("ip", "check", "192.0.2.1")
    assert (refused.stdout.split(":")[0], refused.stderr) == ("192.0.2.1 may not call", unlooked)
    web_acl = run("ip", "check", "198.51.100.7", "--parameter", "WebAcl=enabled")
    assert web_acl.stderr.startswith("the web ACL's lists (WafDenyIpv4, WafDenyIpv6)")
    blanks = run("ip", "check", "192.0.2.1", "--parameter", "IpAllowList=192.0.2.0/24, ,")
    assert blanks.stdout.splitlines()[0] == "192.0.2.1 may call"


def test_check_judges_no_country_that_nobody_tells_of(run: Run) -> None:
    countries = "countries: {allow: [DE]}"
    run("policy", "apply", "policy.yaml", text=f"version: 1\naccess: {{{countries}}}\n")
    refused = run("ip", "check", "192.0.2.1", "--country", "DE", "--parameter", "IpDenyList=")
    assert "country_denied" in refused.stdout
    assert refused.stderr == "no proxy is trusted, so no country is known: judged as unknown, not as DE\n"
    proxies = "trusted_proxies: [192.0.2.0/24], origin_secret: edge, require_origin_secret: true"
    run("policy", "apply", "policy.yaml", text=f"version: 1\naccess: {{{countries}, {proxies}}}\n")
    allowed = run("ip", "check", "192.0.2.1", "--country", "DE", "--parameter", "IpDenyList=", "--output", "json")
    assert json.loads(allowed.stdout)["allowed"]
    [caveat] = json.loads(allowed.stdout)["caveats"]
    assert caveat.startswith("only requests through a trusted proxy with the origin secret pass")
    run("policy", "apply", "policy.yaml", text="version: 1\n")
    parameters = ("--parameter", "CountryDenyList=DE", "--parameter", "TrustedProxies=192.0.2.0/24")
    assert run("ip", "check", "192.0.2.1", "--country", "DE", *parameters).stdout.startswith("192.0.2.1 may call")
    secret = ("--parameter", "OriginSecret=edge")
    assert "country_denied" in run("ip", "check", "192.0.2.1", "--country", "DE", *parameters, *secret).stdout


@pytest.mark.parametrize(
    ("attribute", "value", "state"),
    [
        ("revoked_at", {"N": "1"}, "revoked"),
        ("not_after", {"N": "1"}, "expired"),
        ("allow", {"S": "10.0.0.0/8,garbage"}, "broken"),
    ],
)
def test_a_key_that_lets_nobody_in_refuses(
    run: Run, emulator: Emulator, attribute: str, value: dict[str, str], state: str
) -> None:
    key = create_key(emulator.dynamodb, CONFIG_TABLE, KeyGrant(tenant="acme", name="demo"))
    item = emulator.dynamodb.get_item(TableName=CONFIG_TABLE, Key=item_key(key.key_id))["Item"]
    emulator.dynamodb.put_item(TableName=CONFIG_TABLE, Item={**item, attribute: value})
    refused = run("ip", "check", "192.0.2.1", "--key", key.key_id)
    told = f"192.0.2.1 may not call: invalid_credentials, key {key.key_id} is {state}"
    assert refused.stdout.splitlines()[0] == told


def test_check_looks_at_a_key_s_own_networks(run: Run, emulator: Emulator) -> None:
    key = create_key(emulator.dynamodb, CONFIG_TABLE, KeyGrant(tenant="acme", name="demo", allow=("192.0.2.0/24",)))
    allowed = run("ip", "check", "192.0.2.1", "--key", key.key_id)
    assert f"  passes  key {key.key_id}'s allow has 192.0.2.0/24" in allowed.stdout
    assert "  passes  tenant acme isn't suspended" in allowed.stdout
    assert "may not call: ip_denied, key" in run("ip", "check", "192.0.3.1", "--key", key.text).stdout
    other = run("ip", "check", "192.0.2.1", "--key", key.key_id, "--tenant", "globex")
    assert other.stderr.startswith("Error: key")
    assert "no such key" in run("ip", "check", "192.0.2.1", "--key", "A" * 16).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "localhost"),
        ("check", "192.0.2.1", "--country", "UK"),
        ("check", "192.0.2.1", "--tenant", "-"),
        ("check", "192.0.2.1", "--parameter", "IpDenyList"),
        ("check", "192.0.2.1", "--parameter", "Unknown=1"),
        ("check", "192.0.2.1", "--parameter", "IpDenyList=010.0.0.1"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("ip", *arguments).exit_code == 2

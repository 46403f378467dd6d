"""The stored entries of `sallyport ip`."""

import pytest

from sallyport_cli.policy.ip_rules import IpEntry, IpRules, read_ip_rules


def test_entries_are_read_as_they_were_stored() -> None:
    rules = IpRules(allow=(IpEntry("192.0.2.0/24", "office", 1, "ann"),), deny=(IpEntry("203.0.113.9"),))
    assert read_ip_rules(rules.as_json()) == rules


def test_what_another_version_adds_to_an_entry_is_passed_over() -> None:
    stored = {"allow": [], "deny": [{"network": "203.0.113.9", "until": 5}]}
    assert read_ip_rules(stored) == IpRules(deny=(IpEntry("203.0.113.9"),))
    with pytest.raises(TypeError):
        read_ip_rules({"allow": [], "deny": [{"note": "x"}]})

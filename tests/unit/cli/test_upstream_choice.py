"""Which upstream a local gateway talks to, and who gets which key."""

import pytest

from sallyport_cli.local.upstream import choose_upstream, echo_base_url

KEYS = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-ant-1"}


def test_without_a_key_an_echo_is_started() -> None:
    choice = choose_upstream(None, {}, {}, "echo-key")
    assert (choice.start_echo, choice.key) == (True, "echo-key")


def test_openais_key_goes_to_openai() -> None:
    choice = choose_upstream(None, {"OPENAI_API_KEY": "sk-1"}, {}, "echo-key")
    assert (choice.start_echo, choice.key, choice.parameters) == (False, "sk-1", None)
    assert "sk-1" not in choice.description


def test_openais_key_goes_nowhere_else() -> None:
    for url, given in (("http://127.0.0.1:1/v1", {}), (None, {"UpstreamBaseUrl": "http://127.0.0.1:1/v1"})):
        choice = choose_upstream(url, {"OPENAI_API_KEY": "sk-1"}, given, "echo-key")
        assert (choice.start_echo, choice.key) == (False, "")
        assert choice.parameters == {"UpstreamBaseUrl": "http://127.0.0.1:1/v1", "UpstreamSecret": ""}


def test_another_upstream_has_a_key_of_its_own() -> None:
    choice = choose_upstream("http://127.0.0.1:1/v1", {"SALLYPORT_UPSTREAM_API_KEY": "k"}, {}, "echo-key")
    assert (choice.key, choice.parameters) == ("k", {"UpstreamBaseUrl": "http://127.0.0.1:1/v1"})


def test_anthropics_key_goes_to_anthropic_and_openais_does_not() -> None:
    choice = choose_upstream(None, KEYS, {"UpstreamProvider": "anthropic"}, "echo-key")
    assert (choice.key, choice.parameters) == ("sk-ant-1", {"UpstreamBaseUrl": "https://api.anthropic.com"})
    assert "sk-" not in choice.description
    assert choose_upstream(None, KEYS, {}, "echo-key").key == "sk-1"


@pytest.mark.parametrize(
    ("provider", "environment"),
    [("bedrock", KEYS), ("anthropic", {"OPENAI_API_KEY": "sk-1"}), ("openai", {"ANTHROPIC_API_KEY": "sk-ant-1"})],
)
def test_a_provider_without_a_key_of_its_own_is_an_echo(provider: str, environment: dict[str, str]) -> None:
    choice = choose_upstream(None, environment, {"UpstreamProvider": provider}, "echo-key")
    assert (choice.start_echo, choice.key) == (True, "echo-key")


@pytest.mark.parametrize(("provider", "path"), [("openai", "/v1"), ("anthropic", ""), ("bedrock", "")])
def test_an_echo_is_called_as_its_provider_is(provider: str, path: str) -> None:
    given = {"UpstreamProvider": provider}
    assert echo_base_url("http://127.0.0.1:9", given) == f"http://127.0.0.1:9{path}"
    assert echo_base_url("http://127.0.0.1:9", {}) == "http://127.0.0.1:9/v1"

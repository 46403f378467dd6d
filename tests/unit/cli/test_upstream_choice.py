"""Which upstream a local gateway talks to, and who gets which key."""

from sallyport_cli.local.upstream import choose_upstream


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

"""Tools that an upstream would run itself: refused unless its rules name them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sallyport.errors import UnsupportedFieldError
from sallyport.providers.hosted_tools import check_hosted_tools

OPERATIONS = ("chat_completions", "responses", "messages", "count_tokens")
FUNCTION = {"type": "function", "function": {"name": "f"}}


def refused_param(operation: str, body: dict[str, Any], *permitted: str) -> str | None:
    with pytest.raises(UnsupportedFieldError) as caught:
        check_hosted_tools(operation, body, permitted)
    return caught.value.param


@pytest.mark.parametrize(
    ("operation", "tools"),
    [
        ("chat_completions", [FUNCTION, {"type": "custom", "custom": {"name": "c"}}]),
        ("responses", [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}, {"type": "local_shell"}]),
        ("responses", [{"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "f"}]}]),
        ("messages", [{"name": "f", "input_schema": {}}, {"type": "custom", "name": "c", "input_schema": {}}]),
        ("messages", [{"type": "bash_20250124", "name": "bash"}, {"type": "memory_20250818", "name": "memory"}]),
        ("count_tokens", [{"type": "text_editor_20250728", "name": "edit"}]),
        ("chat_completions", None),
        ("messages", []),
    ],
)
def test_tools_that_the_client_runs_pass(operation: str, tools: Any) -> None:
    check_hosted_tools(operation, {"tools": tools}, ())


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        *(("responses", kind) for kind in ("web_search", "web_search_preview", "web_search_preview_2025_03_11")),
        *(("responses", kind) for kind in ("mcp", "file_search", "code_interpreter", "image_generation", "shell")),
        *(("responses", kind) for kind in ("computer_use_preview", "computer", "tool_search", "of_next_month", "")),
        *(("messages", kind) for kind in ("web_search_20250305", "web_fetch_20250910", "code_execution_20250825")),
        *(("messages", kind) for kind in ("mcp_toolset", "computer_20250124", "bash", "bash_20250124_x", "function")),
        ("count_tokens", "web_search_20250305"),
        ("chat_completions", "web_search"),
        ("chat_completions", "browser_search"),
        ("chat_completions", "functions"),
        ("chat_completions", "Function"),
        ("embeddings", "function"),
    ],
)
def test_every_other_tool_is_refused_by_its_place(operation: str, kind: str) -> None:
    tools = [FUNCTION, {"type": kind}] if operation in {"chat_completions", "responses"} else [{"type": kind}]
    if operation == "messages" and kind == "":
        return
    param = refused_param(operation, {"tools": tools})
    assert param == f"tools[{len(tools) - 1}].type"


@pytest.mark.parametrize("tools", [[None], ["web_search"], [[]], [{"type": 5}], [{"type": ["function"]}], "mcp", {}])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_tool_that_is_none_is_refused(operation: str, tools: Any) -> None:
    if tools == {} and operation in {"messages", "count_tokens"}:
        return  # one tool without a type is the client's own
    assert refused_param(operation, {"tools": tools}) == "tools[0].type"


@pytest.mark.parametrize(
    ("operation", "body", "param"),
    [
        ("chat_completions", {"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ("chat_completions", {"search_parameters": {"mode": "auto"}}, "search_parameters"),
        ("chat_completions", {"data_sources": [{"type": "azure_search"}]}, "data_sources"),
        ("chat_completions", {"plugins": [{"id": "web"}]}, "plugins"),
        ("chat_completions", {"enable_search": True}, "enable_search"),
        ("messages", {"mcp_servers": [{"type": "url", "url": "https://mcp.example.com"}]}, "mcp_servers"),
        ("messages", {"container": {"skills": [{"skill_id": "pptx"}]}}, "container"),
    ],
)
def test_fields_that_have_a_tool_run_are_refused(operation: str, body: dict[str, Any], param: str) -> None:
    assert refused_param(operation, body) == param
    check_hosted_tools(operation, dict.fromkeys(body), ())


def test_a_search_that_is_switched_off_passes() -> None:
    check_hosted_tools("chat_completions", {"enable_search": False}, ())


def test_an_empty_object_that_asks_for_a_search_is_refused() -> None:
    assert refused_param("chat_completions", {"web_search_options": {}}) == "web_search_options"


@pytest.mark.parametrize(
    ("operation", "body", "permitted"),
    [
        ("responses", {"tools": [{"type": "web_search"}]}, "web_search"),
        ("responses", {"tools": [{"type": "web_search_preview"}]}, "web_search"),
        ("responses", {"tools": [{"type": "web_search_preview_2025_03_11"}]}, "web_search"),
        ("messages", {"tools": [{"type": "web_search_20250305"}]}, "web_search"),
        ("messages", {"tools": [{"type": "web_search_20250305"}]}, "web_search_20250305"),
        ("messages", {"mcp_servers": [{}], "tools": [{"type": "mcp_toolset"}]}, "mcp"),
        ("chat_completions", {"web_search_options": {}}, "web_search"),
        ("responses", {"tools": [{"type": "mcp"}]}, "mcp"),
    ],
)
def test_a_named_type_passes(operation: str, body: dict[str, Any], permitted: str) -> None:
    check_hosted_tools(operation, body, (permitted,))


@pytest.mark.parametrize(
    ("kind", "permitted"),
    [
        ("web_search", "web"),
        ("web_search_and_post", "web_search"),
        ("web_search_20250305", "web_search_20260101"),
        ("web_search", "web_search_20250305"),
        ("mcp", ""),
        ("computer_use_preview", "computer"),
    ],
)
def test_a_name_permits_no_other_type(kind: str, permitted: str) -> None:
    assert refused_param("messages", {"tools": [{"type": kind}]}, permitted) == "tools[0].type"


def test_tools_within_a_group_are_looked_at() -> None:
    group = {"type": "namespace", "tools": [{"type": "function"}, {"type": "namespace", "tools": [{"type": "mcp"}]}]}
    assert refused_param("responses", {"tools": [group]}) == "tools[0].tools[1].tools[0].type"


def test_tools_that_an_item_brings_with_it_are_looked_at() -> None:
    items = [{"role": "user"}, {"type": "tool_search_output", "tools": [{"type": "mcp", "server_url": "https://x"}]}]
    assert refused_param("responses", {"input": items}) == "input[1].tools[0].type"
    check_hosted_tools("responses", {"input": [{"type": "mcp_list_tools", "tools": [{"name": "f"}]}]}, ())


@pytest.mark.parametrize("place", ["content", "tool_changes"])
def test_a_tool_that_is_defined_in_mid_conversation_is_looked_at(place: str) -> None:
    def message(tool: dict[str, Any]) -> dict[str, Any]:
        addition = {"type": "tool_addition", "tool": tool}
        content = [addition] if place == "content" else [{"type": "compaction", "tool_changes": [addition]}]
        return {"messages": [{"role": "system", "content": content}]}

    param = refused_param("messages", message({"type": "tool_definition", "definition": {"type": "mcp_toolset"}}))
    assert param is not None
    assert param.endswith("definition[0].type")
    check_hosted_tools("messages", message({"type": "tool_definition", "definition": {"name": "f"}}), ())
    check_hosted_tools("messages", message({"type": "tool_reference", "name": "f"}), ())


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("messages", {"inference_geo": "us"}),
        ("messages", {"fallbacks": "default"}),
        ("messages", {"thread": {"type": "create"}}),
        ("chat_completions", {"models": ["a"]}),
        ("chat_completions", {"provider": {"order": ["x"]}}),
        ("chat_completions", {"preset": "mine"}),
        ("chat_completions", {"providerOptions": {"gateway": {"only": ["x"]}}}),
        ("chat_completions", {"user_config": {"model_list": []}}),
        ("chat_completions", {"aws_region_name": "us-east-1"}),
        ("chat_completions", {"vertex_location": "us-east1"}),
        ("embeddings", {"api_base": "https://example.com"}),
        ("responses", {"base_url": "https://example.com"}),
    ],
)
def test_no_client_chooses_where_it_is_processed(operation: str, body: dict[str, Any]) -> None:
    assert refused_param(operation, body, "mcp", *body) == next(iter(body))
    check_hosted_tools(operation, dict.fromkeys(body), ())


@given(st.sampled_from(OPERATIONS), st.text(max_size=12), st.lists(st.text(max_size=4), max_size=3))
def test_no_text_that_is_not_known_passes_unnamed(operation: str, kind: str, permitted: list[str]) -> None:
    body = {"tools": [{"type": kind or "x"}]}
    if not any(name and (kind or "x").startswith(name) for name in permitted):
        assert refused_param(operation, body, *permitted) == "tools[0].type"


def test_a_refusal_repeats_no_value() -> None:
    with pytest.raises(UnsupportedFieldError) as caught:
        check_hosted_tools("responses", {"tools": [{"type": "secret_tool"}]}, ())
    assert "secret" not in caught.value.message

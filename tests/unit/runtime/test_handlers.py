"""Handlers that can be loaded, and the names of the reasons why others can't."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sallyport.runtime.errors import Fault, describe
from sallyport.runtime.handlers import load_handler


@pytest.fixture
def task_root(tmp_path: Path) -> Iterator[Path]:
    """A directory on sys.path, whose modules are forgotten afterwards."""
    before = set(sys.modules)
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["made_up_one.handler", "made_up_package/made_up_one.handler"])
def test_a_handler_is_found_by_its_name(task_root: Path, name: str) -> None:
    module = task_root / name.replace(".handler", ".py")
    module.parent.mkdir(exist_ok=True)
    module.write_text("def handler(event, context): return event + 1\n")
    assert load_handler(name, {})(1, None) == 2  # type: ignore[arg-type] # this handler looks at no context


def test_init_is_called_once_with_the_environment(task_root: Path) -> None:
    (task_root / "made_up_two.py").write_text(
        "calls = []\ndef init(environ): calls.append(environ)\ndef handler(event, context): return calls\n"
    )
    environ = {"A": "b"}
    assert load_handler("made_up_two.handler", environ)(1, None) == [environ]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "source", "error_type", "message"),
    [
        ("handler", "", "Runtime.MalformedHandlerName", "Bad handler 'handler': it must be 'module.function'"),
        ("", "", "Runtime.MalformedHandlerName", "Bad handler '': it must be 'module.function'"),
        ("made_up_none.f", "", "Runtime.ImportModuleError", "Unable to import module 'made_up_none': No module"),
        ("made_up.f", "import made_up_none", "Runtime.ImportModuleError", "Unable to import module 'made_up': No mod"),
        ("made_up.f", "a = 1", "Runtime.HandlerNotFound", "Handler 'f' missing on module 'made_up'"),
        ("made_up.f", "f = 1", "Runtime.HandlerNotFound", "Handler 'f' on module 'made_up' is not callable"),
        ("made_up.f", "1 +", "Runtime.UserCodeSyntaxError", "Syntax error in module 'made_up': invalid syntax"),
        ("sys.exit", "", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
    ],
)
def test_a_name_that_leads_nowhere_is_named_as_lambda_names_it(
    task_root: Path, name: str, source: str, error_type: str, message: str
) -> None:
    (task_root / "made_up.py").write_text(source)
    with pytest.raises(Fault) as raised:
        load_handler(name, {})
    described = describe(raised.value)
    assert described["errorType"] == error_type
    assert described["errorMessage"].startswith(message)


def test_a_syntax_error_is_told_with_its_place(task_root: Path) -> None:
    (task_root / "made_up.py").write_text("\n1 +")
    with pytest.raises(Fault) as raised:
        load_handler("made_up.f", {})
    assert raised.value.places == [f'  File "{task_root}/made_up.py", line 2\n']


@pytest.mark.parametrize("source", ["raise KeyError('sk-secret')", "def init(environ): raise KeyError('sk-secret')"])
def test_what_a_module_or_its_init_raises_passes_through(task_root: Path, source: str) -> None:
    (task_root / "made_up.py").write_text(source + "\ndef handler(event, context): ...\n")
    with pytest.raises(KeyError) as raised:
        load_handler("made_up.handler", {})
    assert describe(raised.value)["errorMessage"] == f"KeyError at {task_root}/made_up.py:1"

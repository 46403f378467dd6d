"""Finds the handler that Lambda's configuration names, and names what is wrong with it as the managed runtime does."""

import importlib
import sys

from sallyport.runtime.errors import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Any


def load_handler(name: str, environ: "Mapping[str, str]") -> "Callable[[Any, LambdaContext], Any]":
    """Import `module.function`, call the module's `init(environ)` if it has one, and give the function.

    Raises `Fault` for a name that leads nowhere, and whatever the module or its `init` raises.
    """
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': it must be 'module.function'")
    module = _import(module_name)
    function = _function(module, module_name, function_name)
    init = getattr(module, "init", None)
    if callable(init):
        init(environ)
    return function


def _import(name: str) -> "ModuleType":
    if name.partition(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {name} as a handler module")
    try:
        return importlib.import_module(name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{name}': {error}") from error
    except SyntaxError as error:
        place = f'  File "{error.filename}", line {error.lineno}\n'
        message = f"Syntax error in module '{name}': {error.msg}"
        raise Fault("Runtime.UserCodeSyntaxError", message, [place]) from error


def _function(module: "ModuleType", module_name: str, name: str) -> "Callable[[Any, LambdaContext], Any]":
    function = getattr(module, name, None)
    if function is None:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module_name}'")
    if not callable(function):
        raise Fault("Runtime.HandlerNotFound", f"Handler '{name}' on module '{module_name}' is not callable")
    return function  # type: ignore[no-any-return] # what a module holds has no type


if TYPE_CHECKING:
    from sallyport.runtime.context import LambdaContext

"""A JSON document with one wrong value, at every place there is."""

from typing import Any


def with_each_value_replaced(value: Any, other: Any) -> list[Any]:
    """Give the value once for each value in it, with that one replaced."""
    found = [other]
    if isinstance(value, dict):
        for name, child in value.items():
            found += [{**value, name: replaced} for replaced in with_each_value_replaced(child, other)]
    elif isinstance(value, list):
        for index, child in enumerate(value):
            changed = with_each_value_replaced(child, other)
            found += [[*value[:index], replaced, *value[index + 1 :]] for replaced in changed]
    return found

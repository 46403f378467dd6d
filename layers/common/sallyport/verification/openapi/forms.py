"""A form's body as the object that its schema describes (OpenAPI 3.1, "Support for x-www-form-urlencoded")."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from sallyport.verification.openapi.parameters import MAX_ITEMS, ParameterFault, typed


def read_form(text: str, fields: Mapping[str, Any]) -> dict[str, Any] | ParameterFault:
    """Give the form's fields, each as a type of its own: in `fields` by name its `types`, or a list's `items`.

    A field that isn't described is a text, and a list of texts if it is there more than once.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_ITEMS)
    except ValueError:
        return ParameterFault("isn't a form in UTF-8, or has too many fields")
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    form: dict[str, Any] = {}
    for name, texts in values.items():
        field = fields.get(name, {})
        if "items" in field:
            form[name] = [typed(one, field["items"]) for one in texts]
        elif len(texts) > 1 and name in fields:
            return ParameterFault("has a field more than once")
        else:
            form[name] = typed(texts[0], field.get("types", ())) if len(texts) == 1 else texts
    return form

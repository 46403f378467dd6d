"""What `sallyport usage` prints. Money is exact: nanodollars as decimals of a dollar."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sallyport.limits.totals import Total
from sallyport_cli.limits.amounts import usd_text
from sallyport_cli.usage.totals import add

_COLUMNS: Final = ("requests", "input_tokens", "output_tokens", "cached_input_tokens", "usd")


def print_text(by: str, sums: Mapping[str, Total]) -> None:
    """Print a table with a total below it."""
    rows: list[Sequence[str]] = [(by.upper(), *(name.upper().replace("_", " ") for name in _COLUMNS))]
    rows += [(name, *_shown(total)) for name, total in sums.items()]
    rows.append(("total", *_shown(add(*sums.values()))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  ".join(cells))


def print_csv(by: str, sums: Mapping[str, Total]) -> None:
    """Print comma-separated values with a heading, and no total."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([by, *_COLUMNS])
    for name, total in sums.items():
        writer.writerow([name, *_values(total).values()])


def print_json(about: Mapping[str, Any], by: str, sums: Mapping[str, Total]) -> None:
    """Print one object: what was asked, the rows, the total. `usd` is a text, because a float isn't exact."""
    rows = [{by: name, **_values(total)} for name, total in sums.items()]
    print(json.dumps({**about, "by": by, "rows": rows, "total": _values(add(*sums.values()))}))


def _values(total: Total) -> dict[str, Any]:
    values = total._asdict()
    return {**{name: values[name] for name in _COLUMNS if name != "usd"}, "usd": usd_text(total.nanodollars)}


def _shown(total: Total) -> list[str]:
    return [value if isinstance(value, str) else f"{value:,}" for value in _values(total).values()]

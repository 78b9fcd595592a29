"""metrics.csv: a row an epoch, and the history that its rows are."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from typing import Any

Row = Mapping[str, float | None]

NAME = "metrics.csv"
HALVES = {"test": "test", "val": "validation"}  # what a network is evaluated on: how columns begin, and in words


def rows(text: str) -> list[dict[str, float | None]]:
    """The rows; None for what is not there, or no number that JSON knows. `ValueError` for what is no such table.

    >>> rows("epoch,lr,test_loss\\n1,0.5,nan\\n")
    [{'epoch': 1.0, 'lr': 0.5, 'test_loss': None}]
    """
    try:
        table = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from None
    names, found = (table[0] if table else []), []
    if table and names[:1] != ["epoch"]:
        raise ValueError("its first line does not say which columns there are")
    for number, row in enumerate(table[1:], 2):
        if len(row) != len(names):
            raise ValueError(f"line {number} has {len(row)} values, not {len(names)}")
        found.append({name: _number(value) for name, value in zip(names, row, strict=True)})
    return found


def _number(value: str) -> float | None:
    found = float(value) if value else math.nan
    return found if math.isfinite(found) else None


def history(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The epochs as summary.json has them: of the training, and of each half the whole and every unit."""
    return [_epoch(row) for row in rows]


def _epoch(row: Row) -> dict[str, Any]:
    number = row["epoch"]
    said: dict[str, Any] = {"epoch": number and int(number), "lr": row.get("lr"), "seconds": row.get("seconds")}
    said |= {"train": _part(row, "train"), "units": {}}
    for prefix, half in HALVES.items():
        found = _part(row, prefix)
        said[half] = {name: value for name, value in found.items() if "." not in name}
        said["units"][half] = {name: value for name, value in found.items() if "." in name}
    return said


def _part(row: Row, prefix: str) -> dict[str, float | None]:
    """The columns that begin so, without that."""
    return {name.removeprefix(f"{prefix}_"): value for name, value in row.items() if name.startswith(f"{prefix}_")}

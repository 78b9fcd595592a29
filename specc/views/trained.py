"""What a trained network is worth and what it says, as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import Table, table

Document = Mapping[str, Any]
_SHOWN = 40  # classes that a person is shown; of more, the worst


def evaluation_parts(document: Document) -> Iterator[str | Table]:
    """The figures of the whole, of every unit, and a table of the classes."""
    what = {"test": "the test set", "validation": "the validation set", "train": "the training set"}[document["on"]]
    yield f"checkpoint {document['checkpoint']} of {document['name']} ({document['position']}), on {what}"
    yield f"{', '.join(_figures(document['metrics']))}, of {document['samples']:,} samples"
    if len(document["units"]) > 1:
        yield ""
        yield _table([{"unit": name.rpartition(".")[0], name.rpartition(".")[2]: value}
                      for name, value in document["units"].items()])  # fmt: skip
    if rows := document["classes"]:
        yield ""
        yield _table(_shown(rows))
        if len(rows) > _SHOWN:
            yield f"the worst {_SHOWN} of {len(rows)} classes; all of them: --format json"


def _figures(metrics: Document) -> Iterator[str]:
    for name, value in metrics.items():
        yield f"{name.replace('_', ' ')} " + (f"{value:.4f}" if name == "loss" else f"{value:.2%}")


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All classes, or the worst in what the last column says."""
    last = list(rows[0])[-1] if "accuracy" not in rows[0] else "accuracy"
    if len(rows) <= _SHOWN:
        return rows
    return sorted(rows, key=lambda row: 1.0 if row[last] is None else row[last])[:_SHOWN]


def _table(rows: list[dict[str, Any]]) -> Table:
    """Names to the left, numbers to the right."""
    first, *others = (head.replace("_", " ") for head in rows[0])
    return table(None, (first,), others, ([_cell(row[head]) for head in rows[0]] for row in rows))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.2%}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def prediction_line(found: Document) -> str:
    """``cats/1.png: cat 97.12%, dog 2.88%``."""
    named = (
        (entry["class"], next(value for key, value in entry.items() if key != "class")) for entry in found["classes"]
    )
    return f"{found['image']}: {', '.join(f'{name} {value:.2%}' for name, value in named)}"

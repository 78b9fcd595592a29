"""Tables of what was trained for a page, from a file that the runs themselves have filled."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from statistics import mean
from typing import Any

from specc.language.schema import show_bytes

MARK = re.compile(r"(?<=<!-- figures: )([\w/.-]+)( -->\n)(?:\|.*\n)*")


def with_figures(text: str, folder: Path) -> str:
    """A page with the table of a file below each mark, like `<!-- figures: tutorials/digits.json -->`."""
    return MARK.sub(lambda found: f"{found[1]}{found[2]}{table(folder / found[1])}", text)


def table(path: Path) -> str:
    """Every spec of a file: its test accuracy seed by seed, their mean, and the peak that was measured."""
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"]
    lines = ["| spec | test accuracy, % (seed 0, 1, 2) | mean | measured peak of a step |", "|---|---|---|---|"]
    return "\n".join([*lines, *_rows(runs)]) + "\n"


def _rows(runs: list[dict[str, Any]]) -> Iterator[str]:
    for name, group in groupby(runs, lambda run: str(run["spec"])):
        seeds = sorted(group, key=lambda run: int(run["seed"]))
        values = [100 * run["test_accuracy"] for run in seeds]
        peak = show_bytes(max(run["measured_peak_bytes"] for run in seeds))
        yield f"| `{name}` | {', '.join(f'{v:.1f}' for v in values)} | {mean(values):.1f} | {peak} |"


def collected(folders: Iterable[Path], specs: Iterable[Path], change: str = "") -> dict[str, Any]:
    """What a page's file holds of run directories, of the specs that they were begun with, and of what was changed."""
    found = [json.loads((folder / "summary.json").read_text(encoding="utf-8")) for folder in folders]
    texts = {path.name: path.read_text(encoding="utf-8") for path in specs}
    runs = [
        {"spec": f"{each['name']}.yaml {change}".strip(), "seed": each["seed"],
         "test_accuracy": round(each["test"]["accuracy"], 6),
         "measured_peak_bytes": each["memory"]["measured_peak_bytes"], "epochs": each["epochs"]}
        for each in found
    ]  # fmt: skip
    return {"hardware": found[0]["hardware"], "specs": texts, "runs": runs}

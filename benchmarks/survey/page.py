"""The page of the survey: nothing on it that is not in the rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .outcome import NEAR, UNITS, Row, line, summary

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"
HEAD = """# How far it gets with networks of others

Networks of timm and of transformers, each as its library builds it: traced, cut into {units} blocks with InfoPro's
heads and MAN's link (texts, which are no images to be restored, with classifiers and MAN's link), planned, its memory
predicted and traced, and trained for one step. `python -m benchmarks.survey` looks at them, one process a network, and
leaves a row each in `docs/results/networks.jsonl`, of which this page is made. The lists of networks were made before
anybody knew what becomes of them (`benchmarks/survey/subjects.py`), and none was left out since.

Looked at {when}, with {what}.
"""
TABLE = (
    "| network | input | nodes | measured parts | blocks | step | prediction | what stopped it |",
    "|---|---:|---:|---:|---:|---|---:|---|",
)
TOLD = """
*input* is the side of the images, or the length of the texts; *measured parts* are nodes that are no operation specc
knows, whose memory was measured when the network was traced. A step is *fake*, one of tensors without numbers, where
the network has over 150 million parameters or a real one takes over 20 seconds. *prediction* is the planned peak of
memory against the traced, which is right within {near:.0%}. [Your own network](your-network.md) takes the same way.
"""


def text(rows: Sequence[Row]) -> str:
    """The page."""
    days = sorted({row.found["day"] for row in rows if "day" in row.found})
    when = "on " + days[0] if len(days) == 1 else f"between {days[0]} and {days[-1]}" if days else "never"
    what = sorted({part for row in rows for part in str(row.found.get("with", "")).split(", ") if part})
    head = HEAD.format(units=UNITS, when=when, what=", ".join(what))
    return "\n".join([head, summary(rows), TOLD.format(near=NEAR), *TABLE, *map(line, rows)]) + "\n"

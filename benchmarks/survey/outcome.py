"""What became of the networks, as rows, a table and shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNITS = 4
NEAR = 0.01  # how far a prediction may be off


@dataclass(frozen=True)
class Row:
    """One network."""

    found: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The library and the name."""
        return str(self.found["key"])

    @property
    def traced(self) -> bool:
        """Whether there is a graph."""
        return "nodes" in self.found

    @property
    def planned(self) -> bool:
        """Whether there is a plan of as many units."""
        return self.found.get("units") == UNITS

    @property
    def run(self) -> bool:
        """Whether a step was done."""
        return self.planned and self.found.get("step") in ("real", "fake") and not self.error

    @property
    def off(self) -> float | None:
        """How far the prediction is off, above or below; None where there is none."""
        return self.found["predicted"] / self.found["weighed"] - 1 if "weighed" in self.found else None

    @property
    def near(self) -> bool:
        """Whether the prediction is right."""
        return self.off is not None and abs(self.off) <= NEAR

    @property
    def error(self) -> str:
        """Why it went no further."""
        return str(self.found.get("error", ""))

    @property
    def through(self) -> bool:
        """Whether nothing is left to be wished for."""
        return self.run and self.near


def line(row: Row) -> str:
    """One network in a row of a table in Markdown."""
    off = "–" if row.off is None else f"{row.off:+.2%}"
    cells = [row.found.get(key, "–") for key in ("size", "nodes", "opaque", "units", "step")]
    cells = [row.key, *cells, off, shortened(row.error)]
    return "| " + " | ".join(str(cell).replace("\n", " ").replace("|", "/") for cell in cells) + " |"


def shortened(error: str) -> str:
    """An error as it is told in a line: without what is only noted before it."""
    found = error[error.find("error[") :] if "error[" in error else error
    return found.partition("\n")[0][:160]


SHARES: dict[str, Callable[[Row], bool]] = {
    "traced": lambda row: row.traced, "planned": lambda row: row.planned, "run": lambda row: row.run,
    "within 1 %": lambda row: row.near,
}  # fmt: skip


def summary(rows: Sequence[Row]) -> str:
    """How many of each library came how far."""
    kinds = dict.fromkeys(row.key.partition(":")[0] for row in rows)
    lines = ["| library | networks | " + " | ".join(SHARES) + " |", "|---" * (2 + len(SHARES)) + "|"]
    for kind in kinds:
        own = [row for row in rows if row.key.startswith(kind + ":")]
        cells = (f"{sum(map(share, own))} ({sum(map(share, own)) / len(own):.0%})" for share in SHARES.values())
        lines.append(f"| {kind} | {len(own)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)

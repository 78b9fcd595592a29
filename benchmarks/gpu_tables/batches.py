"""The RTX 3090's table: the largest batch that fits 24 GB, by the replay in the memory of the data sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from specc.device import MODEL, runs
from specc.profiles import Profile

from .tables import AMP, Trained, plan

LADDER = (512, 384, 256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)


def largest(row: Trained, sheet: Profile) -> int:
    """The first batch of the ladder with which the steps get through."""
    for batch in LADDER:
        found = plan(row.twin, row.size, batch, **AMP)
        small = found.memory.peak_bytes <= (sheet.memory_bytes or 0)
        if small and runs(found, sheet, MODEL.context_bytes):
            return batch
    return 0


def summary(rows: Sequence[Trained], found: Sequence[int]) -> dict[str, Any]:
    """How many are right, and how many are no more than one step off."""
    steps = [_step(batch) - _step(row.batch) for row, batch in zip(rows, found, strict=True)]
    wrong = [
        f"{row.model}: {batch} for {row.batch}" for row, batch, step in zip(rows, found, steps, strict=True) if step
    ]
    return {
        "models": len(rows), "right": sum(step == 0 for step in steps) / len(rows),
        "right_or_one_step_off": sum(abs(step) <= 1 for step in steps) / len(rows),
        "too_large": sum(step < 0 for step in steps) / len(rows), "wrong": wrong,
    }  # fmt: skip


def _step(batch: int) -> int:
    return LADDER.index(batch) if batch in LADDER else len(LADDER)

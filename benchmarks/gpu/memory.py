"""Predicted peaks against what the allocator says: the cases of `benchmarks/gpu_memory.py`, as time allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from benchmarks import gpu_memory
from runtime.engine.device import identity
from specc.language.schema import show_bytes

from .work import Work

SECONDS = 45.0  # for one spec, its compilation left out
STAND_IN = "quickstart, batch 400"
T = TypeVar("T")


def run(work: Work) -> None:
    """A row a spec, the sizes spread, so that a part of them covers the range as well as it can."""
    calibration = gpu_memory.matching(identity(work.device))
    for row in spread(gpu_memory.chosen([STAND_IN] if work.small else [])):
        if work.has(row.name, 0.0 if work.small else SECONDS):
            continue
        found = gpu_memory.compile_case(row, work.device.type)
        if found is not None:
            row.predicted_bytes = found.predicted_bytes
            gpu_memory.measure(row, found, str(work.device), max(1.0, work.left()), calibration)
        of = row.error_of("allocated")
        said = row.error or f"{show_bytes(row.predicted_bytes)}, {0 if of is None else of:+.2%} of what was allocated"
        work.row(
            row.name, said, predicted_bytes=row.predicted_bytes, margin_bytes=row.margin_bytes,
            requested_bytes=row.requested_bytes, allocated_bytes=row.allocated_bytes,
            reserved_bytes=row.reserved_bytes, error=row.error or None,
        )  # fmt: skip


def spread(cases: Sequence[T]) -> list[T]:
    """The ends first, then middles of what is between: however many are taken, they cover the whole.

    >>> spread("abcdefg")
    ['a', 'g', 'd', 'b', 'e', 'c', 'f']
    """
    order: list[int] = [*dict.fromkeys([0, len(cases) - 1])] if cases else []
    gaps = [(0, len(cases) - 1)]
    while gaps:
        low, high = gaps.pop(0)
        middle = (low + high) // 2
        if low < middle < high:
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return [cases[i] for i in order]

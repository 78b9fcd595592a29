"""Predictions against the device: peaks and step times of the cases of `benchmarks/gpu_memory.py`, as time allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from benchmarks import gpu_memory
from runtime.engine.device import describe, identity
from runtime.errors import RunError
from specc.device import device_bytes
from specc.language.schema import show_bytes
from specc.profiles import matching

from .measuring import apart
from .predicting import predicted
from .work import Work

SECONDS = 45.0  # for one spec, its compilation left out
ROUNDS = 5
STAND_IN = "quickstart, batch 400"
T = TypeVar("T")


def run(work: Work) -> None:
    """A row a spec, the sizes spread, so that a part of them covers the range as well as it can."""
    calibrated = matching(identity(work.device))
    for case in spread(gpu_memory.chosen([STAND_IN] if work.small else [])):
        if work.has(case.name, 0.0 if work.small else SECONDS):
            continue
        found = gpu_memory.compile_case(case, work.device.type)
        if found is None:
            work.row(case.name, case.error, error=case.error)
            continue
        peak = found.predicted_bytes
        figures = {"predicted_bytes": peak, "margin_bytes": calibrated.beyond(peak) if calibrated else None}
        try:
            measured = apart(found.plan, work.device, ROUNDS, work.left())
        except RunError as error:
            work.row(case.name, str(error), **figures, error=str(error))
            continue
        off = peak / measured.allocated_bytes - 1
        said = f"{show_bytes(peak)}, {off:+.2%} of what was allocated; {1000 * measured.seconds:.1f} ms"
        taken = {"predicted_device_bytes": device_bytes(found.plan, describe(work.device)).bytes}
        work.row(case.name, said, **figures, **taken, **predicted(found.plan, work.device), **measured.figures)


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

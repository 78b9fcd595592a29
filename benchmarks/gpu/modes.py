"""Networks in several modes of `train`: the time of each as a ratio of the first mode's, which is the step as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import specc
from benchmarks.gpu_memory import SPECS, blocks, images
from runtime.errors import RunError
from specc.diagnostics import SpecError
from specc.plan import Plan

from .measuring import apart
from .work import Work

ROUNDS = 7
Cases = Mapping[str, tuple[str, tuple[str, ...]]]  # a shipped spec and overrides, by what the row says
Modes = Mapping[str, tuple[str, ...]]  # more overrides
More = Callable[[Plan], Mapping[str, Any]]
STAND_IN: Cases = {
    "tiny": (
        "e2e_cifar10",
        (images(2, 8, 4), "backbone={family: resnet_cifar, depth: 8, widths: [4, 4, 4, 4]}", *blocks(2)),
    )
}


def rows(work: Work, cases: Cases, modes: Modes, seconds: float, more: More = lambda plan: {}) -> None:
    """A row a network and mode, each of which may take so long; `more` are figures to note beside."""
    for name, (spec, words) in (STAND_IN if work.small else cases).items():
        for mode, own in modes.items():
            if not work.has(row := f"{name}: {mode}", 0.0 if work.small else seconds):
                first = next((each for each in work.rows if each["name"] == f"{name}: {next(iter(modes))}"), None)
                _row(work, row, spec, [*words, *own, "budget=null"], first, more)


def _row(work: Work, row: str, spec: str, words: Sequence[str], first: Mapping[str, Any] | None, more: More) -> None:
    try:
        plan = specc.compile(SPECS / f"{spec}.yaml", words)
        measured = apart(plan, work.device, ROUNDS, work.left())
    except (RunError, SpecError) as error:
        work.row(row, str(error), error=str(error))
        return
    figures: dict[str, Any] = {"predicted_bytes": plan.memory.peak_bytes, **measured.figures, **more(plan)}
    if first:
        figures["ratio"] = measured.seconds / first["measured_seconds"]
    said = f"{1000 * measured.seconds:.2f} ms" + (f", {figures['ratio']:.3f} of that" if first else "")
    work.row(row, said, **figures)

"""Run directories for tests, without training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from runtime import Session
from runtime.run.checkpoint import Position
from runtime.run.rundir import RunDir
from runtime.run.saving import save
from specc.plan import Plan


def saved(
    plan: Plan, folder: Path, *, checkpoint: bool = True, change: Callable[[dict[str, Tensor]], object] | None = None
) -> Session:
    """A run directory whose checkpoint holds the initial weights, or what `change` makes of them."""
    session = Session(plan)
    if change is not None:
        change(session.model.tensors())
    run = RunDir.create(plan, "", "", folder)
    if checkpoint:
        save(session, Position(0, 0, plan.fingerprint), run.path)
    return session

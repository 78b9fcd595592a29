"""The end of a run that takes more memory than its budget: where, how much, what is left, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from specc.language.schema import show_bytes
from specc.plan import Instruction, Plan

from ..errors import BudgetExceeded


@dataclass(frozen=True, slots=True)
class Peak:
    """The most memory of a step on one device, predicted and measured, and the instruction at which it was measured."""

    predicted: int
    measured: int = 0
    at: str = ""
    predicted_there: int = 0
    device: str = ""

    @classmethod
    def of(cls, plan: Plan, measured: int, where: Instruction | None, device: str = "") -> Peak:
        """Of what this device does."""
        there = _predicted(plan, where) if where else plan.memory.peak_bytes
        return cls(plan.memory.peak_bytes, measured, str(where or ""), there, device)

    def __str__(self) -> str:
        """The instruction, and what was predicted for it."""
        return f"; the peak is at `{self.at}`, predicted {show_bytes(self.predicted_there)}" if self.at else ""


def over_budget(plan: Plan, peaks: Sequence[Peak], folder: Path, saved: str) -> BudgetExceeded:
    """For a step that was measured, on each of a run's devices."""
    assert plan.config.budget is not None
    budget = plan.config.budget.memory
    rank, peak = max(enumerate(peaks), key=lambda each: each[1].measured)
    where = f" on rank {rank}" if len(peaks) > 1 else ""
    message = (
        f"one step takes {show_bytes(peak.measured)}{where}, over the budget of {show_bytes(budget)} by "
        f"{show_bytes(peak.measured - budget)} (predicted {show_bytes(peak.predicted)}){peak}"
    )
    return BudgetExceeded(message, _help(folder, saved), plan, max(peak.measured - peak.predicted_there, 0), folder)


def did_not_fit(
    plan: Plan, own: Plan, reason: str, where: Instruction | None, folder: Path, saved: str
) -> BudgetExceeded:
    """For a step that the device ended, because the budget is a hard limit there; `own` is what this device does."""
    assert plan.config.budget is not None
    peak = Peak.of(own, 0, where)
    message = (
        f"one step does not fit into the budget of {show_bytes(plan.config.budget.memory)} "
        f"(predicted {show_bytes(peak.predicted)}){peak}: {reason}"
    )
    return BudgetExceeded(message, _help(folder, saved), plan, 0, folder)


def _predicted(plan: Plan, where: Instruction) -> int:
    index = next(i for i, each in enumerate(plan.instructions) if each is where)
    return plan.memory.timeline[index].bytes


def _help(folder: Path, saved: str) -> tuple[str, ...]:
    anyway = f"to train anyway: specc run {shlex.quote(str(folder / 'spec.resolved.yaml'))} budget.on_exceed=warn"
    return f"{saved}; spec, plan and figures are in {folder}", anyway

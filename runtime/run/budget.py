"""The end of a run that takes more memory than its budget: where, how much, what is left, and what to type next."""

from __future__ import annotations

import shlex
from pathlib import Path

from specc.language.schema import show_bytes
from specc.plan import Instruction, Plan

from ..errors import BudgetExceeded


def over_budget(plan: Plan, measured: int, where: Instruction | None, folder: Path, saved: str) -> BudgetExceeded:
    """For a step that was measured."""
    assert plan.config.budget is not None
    budget = plan.config.budget.memory
    message = (
        f"one step takes {show_bytes(measured)}, over the budget of {show_bytes(budget)} by "
        f"{show_bytes(measured - budget)} (predicted {show_bytes(plan.memory.peak_bytes)}){_at(plan, where)}"
    )
    predicted = _predicted(plan, where) if where else plan.memory.peak_bytes
    return BudgetExceeded(message, _help(folder, saved), plan, max(measured - predicted, 0), folder)


def did_not_fit(plan: Plan, reason: str, where: Instruction | None, folder: Path, saved: str) -> BudgetExceeded:
    """For a step that the device ended, because the budget is a hard limit there."""
    assert plan.config.budget is not None
    message = (
        f"one step does not fit into the budget of {show_bytes(plan.config.budget.memory)} "
        f"(predicted {show_bytes(plan.memory.peak_bytes)}){_at(plan, where)}: {reason}"
    )
    return BudgetExceeded(message, _help(folder, saved), plan, 0, folder)


def _at(plan: Plan, where: Instruction | None) -> str:
    """The instruction, and what was predicted for it."""
    return f"; the peak is at `{where}`, predicted {show_bytes(_predicted(plan, where))}" if where else ""


def _predicted(plan: Plan, where: Instruction) -> int:
    index = next(i for i, each in enumerate(plan.instructions) if each is where)
    return plan.memory.timeline[index].bytes


def _help(folder: Path, saved: str) -> tuple[str, ...]:
    anyway = f"to train anyway: specc run {shlex.quote(str(folder / 'spec.resolved.yaml'))} budget.on_exceed=warn"
    return f"{saved}; spec, plan and figures are in {folder}", anyway

"""What all ranks of a run look at together: whether its numbers are finite, and its memory within the budget."""

from __future__ import annotations

from dataclasses import asdict

from . import endings
from .budget import Peak, over_budget
from .state import RunState
from .summary import own_peak


def check_finite(run: RunState) -> None:
    """Whether what was trained is numbers; the last loss that was looked at says nothing of the step after it."""
    if found := endings.not_finite(run.averages.of_all(run.plan, run.team).means()):
        raise endings.diverged_at(run, f"of the means so far {found}", run.step)
    names = run.team.gather(endings.first_not_finite(run.session.model.tensors().items()))
    if name := next(filter(None, names), None):
        raise endings.diverged_at(run, f"`{name}` is not finite", run.step)


def hear_peaks(run: RunState) -> None:
    """The memory that every rank has measured so far."""
    run.peaks = [Peak(**each) for each in run.team.gather(asdict(own_peak(run)))]


def check_budget(run: RunState) -> None:
    """Every device is held to the budget by itself, and all ranks end because of the one that takes most."""
    hear_peaks(run)
    budget = run.plan.config.budget
    if budget is not None and max(p.measured for p in run.peaks) > budget.memory and budget.on_exceed == "error":
        raise over_budget(run.plan, run.peaks, run.run_dir.path, endings.what_is_left(run))

"""Where a run that is resumed goes on: in whatever layout, with what any other one has saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from specc.runs import checkpoints

from ..data.inspection import check_same
from ..errors import RunError
from . import checkpoint, measured, saving, storing
from .averages import Averages
from .state import RunState


def resume(run: RunState) -> None:
    """Continue where the run directory's newest whole checkpoint stands; at the beginning where there is none."""
    check_same(run.plan.data, run.splits)
    run.measured = measured.earlier(run.run_dir) if run.team.first else {}
    found = run.team.by_first(lambda: _found(run))
    if found is None:
        run.notes.append("no checkpoint was saved yet: the run begins anew")
    else:
        _restore(run, checkpoint.Found(Path(found["path"]), checkpoint.state_of(found["state"]), found["skipped"]),
                 found["metrics"].encode())  # fmt: skip


def _found(run: RunState) -> dict[str, Any] | None:
    """The newest checkpoint, as all ranks are told of it."""
    folder = run.run_dir.path
    if checkpoint.names(folder) and checkpoints.exists(folder):
        found = checkpoint.newest(folder)
        return {"path": str(found.path), "state": checkpoint.state_json(found.state).decode(), "skipped": found.skipped,
                "metrics": found.metrics().decode(errors="replace")}  # fmt: skip
    if run.run_dir.written_metrics():  # the first checkpoint is older than any row
        help = ("restore them from a backup, or start the run anew, with another `--run-dir`",)
        raise RunError(f"the run in {folder} has lost its checkpoints: metrics.csv is all it has", help)
    return None


def _restore(run: RunState, found: checkpoint.Found, metrics: bytes) -> None:
    position, sums = saving.load(run.session, found, run.environment.get("plans", ()), run.team)
    steps = len(run.train_data)
    if not (0 <= position.epoch <= run.config.epochs and 0 <= position.step <= steps):
        message = f"the checkpoint is of {position}; now there are {run.config.epochs} epochs of {steps} steps"
        raise RunError(message, ("the data set must be the one that the run was started with",))
    run.saved, run.epoch, run.step, run.seconds = position, position.epoch, position.step, position.seconds
    run.best, run.averages = position.best, Averages.of(sums, run.device).of_rank(run.own, run.team)
    run.wall.before = position.wall_seconds
    run.patience.restore(metrics, run.splits.watches)
    for warning in run.team.by_first(lambda: _put_back(run, found)):
        run.warnings.append(warning)
    run.notes += [f"what is left of it is kept in {path}" for path in run.team.by_first(lambda: _aside(found))]
    if position.figures.device == run.team.device_of(run.device):
        run.earlier = position.figures
        if run.team.alone:
            run.meter.peak_bytes, run.meter.requested_bytes = run.earlier.peak_bytes, run.earlier.requested_bytes


def _put_back(run: RunState, found: checkpoint.Found) -> list[str]:
    """Leave in metrics.csv what the checkpoint recorded of it; what a person has to know of that."""
    if run.run_dir.restore_metrics(found.metrics()):
        return found.warnings
    return [*found.warnings, f"metrics.csv was changed since: it is again what {found.path.name} recorded of it"]


def _aside(found: checkpoint.Found) -> list[str]:
    return [str(path) for path in storing.set_aside(found)]

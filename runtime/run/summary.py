"""What is left to say of a run when it ends: summary.json."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from typing import Any

import torch

from specc.plan.flops import step_flops
from specc.plan.parameters import parameter_counts
from specc.runs.metrics import history, rows

from ..errors import WriteError
from ..memory.calibration import calibrated
from .budget import Peak
from .checkpoint import Figures
from .environment import hardware
from .finishing import Results
from .rundir import spec_hash
from .state import RunState

NOTHING = Results()
WARMING = 3  # steps that are metered, which makes them slow


def summary_of(run: RunState, status: str, found: Results = NOTHING) -> dict[str, Any]:
    """The document."""
    plan, budget, figures = run.plan, run.plan.config.budget, figures_of(run)
    peak, seconds = figures.peak_bytes, figures.step_seconds
    return {
        "format_version": 1,
        "name": plan.name,
        "status": status,
        "cause": run.cause,
        "spec_sha256": spec_hash(run.spec_text),
        "plan_fingerprint": plan.fingerprint,
        "device": str(run.device),
        "devices": devices_of(run),
        "hardware": hardware(run.device) | {"torch": torch.__version__},
        "task": plan.config.task,
        "seed": run.config.seed,
        "batch_size": plan.config.data.batch_size,
        "parameters": parameter_counts(plan),
        "flops_per_image": step_flops(plan),
        "epochs": run.epoch,
        "epochs_planned": run.config.epochs,
        "steps": run.steps,
        "wall_seconds": run.saved.wall_seconds if run.saved else None,
        "stopped_early": str(run.patience) if run.over and run.epoch < run.config.epochs else None,
        "test": found.test.whole,
        "validation": found.validation.whole,
        "units": {"test": found.test.units, "validation": found.validation.units},
        "best": asdict(found.best) | {"test": found.best_on_test.whole} if found.best else None,
        "skipped_images": len(plan.data.skipped),
        "memory": {
            "budget_bytes": budget.memory if budget else None,
            "predicted_peak_bytes": max(each.predicted for each in peaks_of(run)),
            "measured_peak_bytes": peak,
            "within_budget": run.fits and (budget is None or peak <= budget.memory),
            **on_device(run),
        },
        "step_seconds_median": seconds,
        "images_per_second": run.batch / seconds if seconds else 0.0,
        "history": history_of(run),
    }


def history_of(run: RunState) -> list[dict[str, Any]]:
    """Every epoch that is done, as metrics.csv has it; nothing where that is not as it was written."""
    try:
        return history(rows(run.run_dir.written_metrics().decode()))
    except (ValueError, WriteError):  # it is put right by who resumes the run
        return []


def not_begun(name: str, cause: str) -> dict[str, Any]:
    """The document of a run that ended before there was anything to sum up."""
    return {"format_version": 1, "name": name, "status": "failed", "cause": cause}


def figures_of(run: RunState) -> Figures:
    """What was measured, by this process and by those before it that had the same device."""
    run.clock.collect()
    took = run.clock.seconds[WARMING:] or run.clock.seconds
    seconds = statistics.median(took) if took else run.earlier.step_seconds
    before = 0 if run.team.alone else run.earlier.peak_bytes  # else the meter has it
    most = max(before, *(each.measured for each in peaks_of(run)))
    return Figures(run.team.device_of(run.device), most, run.meter.requested_bytes, seconds)


def peaks_of(run: RunState) -> list[Peak]:
    """What every rank has said of its memory; before they were asked, what this one knows."""
    return [own_peak(run)] if run.team.alone or not run.peaks else run.peaks


def own_peak(run: RunState) -> Peak:
    """Of this rank."""
    return Peak.of(run.own, run.meter.peak_bytes, run.peak.instruction, str(run.device))


def devices_of(run: RunState) -> dict[str, Any] | None:
    """How the run was spread over several devices, and the memory of each."""
    layout = run.own.layout
    if layout is None:
        return None
    ranks = [{"device": each.device, "predicted_peak_bytes": each.predicted, "measured_peak_bytes": each.measured}
             for each in run.peaks]  # fmt: skip
    most = max(range(len(run.peaks)), key=lambda rank: run.peaks[rank].measured, default=None)
    return {"data_parallel": layout.copies, "block_parallel": len(layout.stages), "stages": list(layout.stages),
            "shard": layout.sharded, "nearest_to_budget": most, "ranks": ranks}  # fmt: skip


def on_device(run: RunState) -> dict[str, int | None]:
    """What only a GPU has to say of its memory."""
    if run.device.type != "cuda":
        return {}
    found = calibrated(run.device)
    return {
        "requested_peak_bytes": run.meter.requested_bytes,
        "allocated_peak_bytes": run.meter.peak_bytes,
        "margin_bytes": found.beyond(run.own.memory.peak_bytes) if found else None,
    }

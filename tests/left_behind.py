"""Run directories as runs leave them behind, without training: for who reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime.run.rundir import RunDir
from specc.pipeline import compile_spec
from specc.plan import Plan
from specc.runs import manifest
from specc.spec.dump import dump
from specc.spec.load import parse_spec

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{7*7}}"
MIB = 1 << 20


def left_behind(
    folder: Path, plan: Plan, *, epochs: int = 6, class_names: Sequence[str] = (),
    measured: Mapping[str, Any] | None = None, rows: Sequence[Mapping[str, float]] | None = None, **summary: Any,
) -> Path:  # fmt: skip
    """A run of so many epochs, in which every unit is a little better than the one before it."""
    if class_names:
        plan = replace(plan, data=replace(plan.data, class_names=tuple(class_names)))
    run = RunDir.create(plan, f"# {HOSTILE}\nname: x\n", dump(plan.config), folder)
    for row in rows if rows is not None else [row_of(plan, epoch, epochs) for epoch in range(1, epochs + 1)]:
        run.add_metrics(row)
    run.write_json("summary.json", manifest.sealed(summary_of(plan, epochs) | summary))
    if measured is not None:
        run.write("measured.json", json.dumps(manifest.sealed({"format_version": 1, **measured})))
    return folder


def row_of(plan: Plan, epoch: int, epochs: int) -> dict[str, float]:
    """Of an epoch."""
    known = 0.3 + 0.5 * epoch / epochs
    row = {"epoch": epoch, "lr": 0.1, "seconds": 2.0, "test_accuracy": known, "test_loss": 1 / epoch}
    row |= {f"test_{unit.name}.accuracy": known - 0.01 * (len(plan.units) - place)
            for place, unit in enumerate(plan.units)}  # fmt: skip
    row |= {"train_accuracy": known + 0.01}
    return row | {f"train_{unit.name}.{head.term}": 2 / epoch for unit in plan.units for head in unit.heads}


def summary_of(plan: Plan, epochs: int) -> dict[str, Any]:
    """Of a run that is complete and within a budget of 64 MiB."""
    budget = plan.config.budget
    memory = {
        "budget_bytes": budget.memory if budget else None, "predicted_peak_bytes": plan.memory.peak_bytes,
        "measured_peak_bytes": plan.memory.peak_bytes, "within_budget": True,
    }  # fmt: skip
    return {
        "name": plan.name, "status": "completed", "plan_fingerprint": plan.fingerprint, "device": "cpu",
        "epochs": epochs, "epochs_planned": epochs, "steps": 4 * epochs, "test": {"accuracy": 0.8, "loss": 0.5},
        "memory": memory, "step_seconds_median": 0.4, "images_per_second": 15.0,
    }  # fmt: skip


def measured_of(plan: Plan) -> dict[str, Any]:
    """Every instruction takes a millisecond and what was predicted; of four classes the last is taken for the first."""
    count = len(plan.instructions)
    step = {
        "plan_fingerprint": plan.fingerprint, "device": "cpu", "timed_steps": 16, "seconds": [0.001] * count,
        "seconds_after": 0.001, "peak_bytes": [moment.bytes for moment in plan.memory.timeline],
    }  # fmt: skip
    told = [[0, 0, 9], [1, 1, 8], [1, 2, 1], [2, 2, 9], [3, 0, 5], [3, 3, 4]]
    return {"step": step, "told": {"on": "test", "epochs": 6, "kind": "class", "classes": 4, "told": told}}


def peak_of(plan: Plan, overrides: list[str]) -> int:
    """Of the run's spec under what a command of its report says."""
    spec = parse_spec(dump(plan.config), "spec", overrides).spec
    assert spec is not None
    return compile_spec(spec.on(plan.memory.device))[0].memory.peak_bytes

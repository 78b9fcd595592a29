"""Starts and resumes runs for the command line: device, run directory, progress, closing words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from specc.margins import newest
from specc.plan import Plan
from specc.schema import show_bytes
from specc.spec.dump import dump
from specc.spec.load import Spec
from specc.view_margin import margin_line, uncalibrated

from .calibration import calibration_of
from .device import choose, describe
from .errors import RunError
from .progress import progress_on
from .rundir import RunDir
from .trainer import Trainer


def run(plan: Plan, spec: Spec, device: str | None, gpu: int | None, folder: Path | None) -> None:
    """Train a plan in a new run directory."""
    chosen = choose(device, gpu)
    if folder is not None and (folder / "plan.json").exists():
        raise RunError(f"{folder} already holds a run", (f"continue it with: specc resume {folder}",))
    from .trainer import open_data

    open_data(plan)  # a missing data set should leave no run directory behind
    resolved = dump(plan.config)  # with the split that the budget decided, where the spec left it to that
    target = RunDir.create(plan, spec.tree.text, resolved, folder)
    _train(plan, target, chosen, resolved, resumed=False)


def resume(folder: Path, device: str | None, gpu: int | None) -> None:
    """Continue the run in `folder` with the plan that is stored there."""
    target = RunDir(folder)
    plan = target.plan()
    try:
        resolved = (folder / "spec.resolved.yaml").read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(f"{folder} is not a run directory: {error.strerror} ({error.filename})") from None
    _train(plan, target, choose(device, gpu), resolved, resumed=True)


def _train(plan: Plan, target: RunDir, device: Any, resolved: str, *, resumed: bool) -> None:
    console = Console(stderr=True, highlight=False)
    progress = progress_on(console, plan.config.train.epochs)
    try:
        trainer = Trainer(plan, device, target, progress, resolved)
        if resumed:
            trainer.resume()
        console.print(
            f"{'resuming' if resumed else 'training'} {plan.name} on {describe(device)}, results in {target.path}",
            soft_wrap=True,
        )
        if device.type == "cuda":
            console.print(margin(plan, device), soft_wrap=True)
        summary = trainer.train()
    finally:
        progress.close()
    for line in closing(summary, target.path):
        print(line)
    trainer.check_budget()  # a run may be over before there was a step to check it after


def margin(plan: Plan, device: torch.device) -> str:
    """What the libraries of this GPU may take beyond the prediction."""
    found = calibration_of(device)
    return margin_line(found, plan) if found else uncalibrated(newest())


def closing(summary: dict[str, Any], path: Path) -> list[str]:
    """What a person wants to know at the end."""
    memory, test = summary["memory"], summary["test"]
    measured = "allocator peak" if summary["device"].startswith("cuda") else "live tensors"
    budget = show_bytes(memory["budget_bytes"]) if memory["budget_bytes"] else "none"
    verdict = "within budget" if memory["within_budget"] else "OVER BUDGET"
    on_device = []
    if "requested_peak_bytes" in memory:
        apart = show_bytes(memory["margin_bytes"]) if memory["margin_bytes"] is not None else "not calibrated"
        asked, given = (show_bytes(memory[f"{what}_peak_bytes"]) for what in ("requested", "allocated"))
        on_device = [f"of the allocator: requested {asked}, allocated {given}; margin beyond the prediction: {apart}"]
    return [
        f"test accuracy {test['accuracy']:.2%}, loss {test['loss']:.4f} after {summary['epochs']} epochs",
        f"memory of one step: predicted {show_bytes(memory['predicted_peak_bytes'])}, "
        f"measured {show_bytes(memory['measured_peak_bytes'])} ({measured}), budget {budget}: {verdict}",
        *on_device,
        f"{summary['step_seconds_median'] * 1e3:.1f} ms a step, {summary['images_per_second']:.0f} images a second",
        f"results in {path}",
    ]

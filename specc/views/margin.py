"""The margin beside a prediction, as people and machines read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..language.schema import show_bytes
from ..margins import Calibration, current, newest
from ..plan import Plan

COMMAND = "specc doctor --calibrate"
WHAT = "margin for cuDNN/cuBLAS workspaces"


def margin_lines(plan: Plan) -> Iterator[str]:
    """One line for every GPU that was calibrated with the torch that is installed, or how to come by one."""
    found = current() if plan.memory.device == "cuda" else ()
    if not found and plan.memory.device == "cuda":
        yield uncalibrated(newest())
    for calibration in found:
        yield margin_line(calibration, plan)


def margin_line(calibration: Calibration, plan: Plan) -> str:
    """The margin, and whether prediction and margin together keep to the budget."""
    predicted, budget = plan.memory.peak_bytes, plan.config.budget
    margin = calibration.margin(predicted)
    over = ", OVER THE BUDGET" if budget and predicted <= budget.memory < predicted + margin else ""
    return (
        f"{WHAT} on {calibration.device}: {show_bytes(margin)} (calibrated {calibration.date[:10]}); "
        f"prediction and margin {show_bytes(predicted + margin)}{over}"
    )


def uncalibrated(older: Calibration | None) -> str:
    """What to type; `older` is a calibration that no longer holds."""
    if older is None:
        return f"{WHAT}: not calibrated: {COMMAND}"
    return f"{WHAT}: the calibration of {older.device} was made with {older.versions}; anew: {COMMAND}"


def margin_documents(plan: Plan) -> list[dict[str, Any]]:
    """The margins for machines."""
    predicted = plan.memory.peak_bytes
    if plan.memory.device == "cpu":  # where tensors are counted one by one
        return []
    return [{"device": c.device, "margin_bytes": c.margin(predicted), "calibrated": c.date} for c in current()]


def calibration_lines(found: Calibration) -> Iterator[str]:
    """What was measured."""
    sizes = sorted(sample.predicted_bytes for sample in found.samples)
    yield f"margin on {found.device}: {summary(found)} of the prediction"
    sizes_shown = f"{show_bytes(sizes[0])} to {show_bytes(sizes[-1])}"
    yield f"enough for all of {len(sizes)} plans of {sizes_shown}; beyond them it is extrapolated"
    if found.context_bytes is not None:
        yield f"beside what the allocator holds {show_bytes(found.context_bytes)} of the device were taken: the context"
    yield f"{found.versions}, allocator {found.allocator}, {found.date}"


def summary(found: Calibration) -> str:
    """The two parts of a margin."""
    return f"{show_bytes(found.fixed_bytes)} and {found.relative:.2%}"

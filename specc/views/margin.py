"""The margin beside a prediction, as people and machines read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..language.schema import show_bytes
from ..plan import Plan
from ..profiles import Margin, Profile, newest_with_margin, with_margins

COMMAND = "specc doctor --calibrate"
WHAT = "margin for cuDNN/cuBLAS workspaces"


def margin_lines(plan: Plan) -> Iterator[str]:
    """One line for every GPU that was calibrated with the torch that is installed, or how to come by one."""
    if plan.memory.device != "cuda":
        return
    found = with_margins()
    if not found:
        yield uncalibrated(newest_with_margin())
    for profile in found:
        yield margin_line(profile, plan)


def margin_line(profile: Profile, plan: Plan) -> str:
    """The margin, and whether prediction and margin together keep to the budget."""
    predicted, budget = plan.memory.peak_bytes, plan.config.budget
    margin = profile.beyond(predicted)
    over = ", OVER THE BUDGET" if budget and predicted <= budget.memory < predicted + margin else ""
    return (
        f"{WHAT} on {profile.device}: {show_bytes(margin)} (calibrated {profile.date[:10]}); "
        f"prediction and margin {show_bytes(predicted + margin)}{over}"
    )


def uncalibrated(older: Profile | None) -> str:
    """What to type; `older` is a profile that no longer holds."""
    if older is None:
        return f"{WHAT}: not calibrated: {COMMAND}"
    return f"{WHAT}: the calibration of {older.device} was made with {older.made_with}; anew: {COMMAND}"


def margin_documents(plan: Plan) -> list[dict[str, Any]]:
    """The margins for machines."""
    if plan.memory.device == "cpu":  # where tensors are counted one by one
        return []
    predicted = plan.memory.peak_bytes
    return [{"device": p.device, "margin_bytes": p.beyond(predicted), "calibrated": p.date} for p in with_margins()]


def calibration_lines(margin: Margin, device: str) -> Iterator[str]:
    """What was measured."""
    sizes = sorted(sample.predicted_bytes for sample in margin.samples)
    yield f"margin on {device}: {summary(margin)} of the prediction"
    sizes_shown = f"{show_bytes(sizes[0])} to {show_bytes(sizes[-1])}"
    yield f"enough for all of {len(sizes)} plans of {sizes_shown}; beyond them it is extrapolated"
    if margin.context_bytes is not None:
        context = show_bytes(margin.context_bytes)
        yield f"beside what the allocator holds {context} of the device were taken: the context"
    yield f"allocator {margin.allocator}"


def summary(margin: Margin) -> str:
    """The two parts of a margin."""
    return f"{show_bytes(margin.fixed_bytes)} and {margin.relative:.2%}"

"""The estimate of a network as people and machines read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..fit.remedies import Remedy
from ..graph.ops import show
from ..language.schema import show_bytes
from ..plan import Backward, Head, Plan, Step
from ..plan.parameters import parameter_counts
from ..profiles import Profile
from ..tasks.datasets import ResolvedData
from ..tasks.inputs import told
from ..timing import StepTime
from . import Table, table
from .device import asked, device_document, device_lines
from .fitting import Place
from .step_time import time_document, time_line

FORMAT_VERSION = 1
WIDTH = 100  # columns of a text that is for no terminal


def estimate_table(plan: Plan) -> Table:
    """One row a category of what is alive at the peak, the largest first."""
    peak = plan.memory.peak_bytes
    parts = sorted(plan.memory.categories.items(), key=lambda item: -item[1])
    rows = ((name, show_bytes(size), f"{size / peak:.0%}") for name, size in (*parts, ("all", peak)))
    return table(_title(plan), ("at the peak",), ("memory", "share"), rows)


def _title(plan: Plan) -> str:
    config, on = plan.config, "a CPU" if plan.memory.device == "cpu" else "CUDA"
    how = f"{config.train.optimizer.name}, {config.train.precision}, on {on}"
    return f"{plan.name} end to end: batches of {config.data.batch_size} × {_sample(plan.data)}, {how}"


def _sample(data: ResolvedData) -> str:
    """What the network reads."""
    if data.parts:
        return f"({told(data.parts)})"
    return f"{show(data.shape)} tokens of {data.vocabulary:,}" if data.vocabulary else show(data.shape)


def estimate_lines(plan: Plan, profile: Profile | None, time: StepTime | None) -> Iterator[str]:
    """The peak against the budget, what a GPU is taken of, and the time."""
    count, peak = parameter_counts(plan)["backbone"], show_bytes(plan.memory.peak_bytes)
    yield f"{count:,} parameters, which learn {plan.config.learns.learns}, of {plan.data.classes:,}"
    yield f"predicted peak {peak} of tensors, in {_moment(plan)}"
    yield from _against(plan)
    yield from device_lines(plan, profile)
    yield from _beyond(plan, profile)
    yield time_line(plan, time)


def _moment(plan: Plan) -> str:
    """When the most is alive, in words that need no blocks."""
    match plan.instructions[plan.memory.peak_instruction]:
        case Backward() | Head():
            return "the backward pass"
        case Step():
            return "the optimizer's step"
    return "the forward pass"


def _against(plan: Plan) -> Iterator[str]:
    """The peak beside the budget."""
    if plan.config.budget is None:
        return
    left, budget = plan.config.budget.memory - plan.memory.peak_bytes, show_bytes(plan.config.budget.memory)
    if left < 0:
        yield f"does not fit the budget of {budget}: {show_bytes(-left)} too much"
    else:
        yield f"fits the budget of {budget}: {show_bytes(left)} to spare"


def _beyond(plan: Plan, profile: Profile | None) -> Iterator[str]:
    """Where the tensors fit a budget as large as a GPU may be, and a GPU of that size would not do."""
    budget, found = plan.config.budget, asked(plan, profile)[0]
    if budget is None or found is None or budget.memory < found.context:
        return
    if plan.memory.peak_bytes <= budget.memory < found.bytes:
        yield f"the budget is about tensors: a device with {show_bytes(budget.memory)} in all would be too small"


def estimate_document(
    plan: Plan,
    profile: Profile | None,
    time: StepTime | None,
    fits: bool | None,
    remedies: tuple[Remedy, ...] = (),
    assumed: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The estimate for machines."""
    config, memory = plan.config, plan.memory
    return {
        "format_version": FORMAT_VERSION,
        "name": plan.name,
        "task": config.task,
        "sample": list(plan.data.shape),
        "vocabulary": plan.data.vocabulary or None,
        "classes": plan.data.classes,
        "batch_size": config.data.batch_size,
        "optimizer": config.train.optimizer.name,
        "precision": config.train.precision,
        "parameters": parameter_counts(plan)["backbone"],
        "device": memory.device,
        "predicted_peak_bytes": memory.peak_bytes,
        "peak_instruction": str(plan.instructions[memory.peak_instruction]),
        "categories": dict(memory.categories),
        "device_bytes": device_document(plan, profile),
        "time": time_document(time),
        "budget_bytes": config.budget.memory if config.budget else None,
        "fits": fits,
        "assumed": list(assumed),
        "remedies": [
            {"change": each.change, "override": each.override, "predicted_peak_bytes": each.peak} for each in remedies
        ],
    }


def as_text(*parts: str | Table) -> str:
    """Tables and lines as one text, for who prints it in Python."""
    return "\n".join(part if isinstance(part, str) else _drawn(part) for part in parts)


def _drawn(part: Table) -> str:
    return "\n".join("".join(text for text, _ in line) for line in part.lines(Place(WIDTH)))

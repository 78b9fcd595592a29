"""Figures of what a step takes: memory beside the budget, and seconds by kind of instruction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial

from ..runs.record import Status
from .alternatives import Lab
from .charts.bars import Bar, bars, compared
from .parts import Figure, Table
from .subject import Subject
from .words import seconds, share, show_bytes

KINDS = {
    "forward": "forward through the blocks", "backward": "backward through the blocks",
    "head": "local heads: forward, loss, backward", "branch": "EMA links: forward",
    "branch_backward": "EMA links: backward", "ema_update": "EMA links: averaging", "step": "optimizer steps",
    "free": "freeing memory",
}  # fmt: skip
AFTER = "weight average, gradient scaling, sums"


def budget(subject: Subject, lab: Lab | None, name: str) -> Figure | None:
    """Predicted and measured beside what was allowed, and beside what end-to-end training would take."""
    memory = subject.memory
    if not memory.predicted_peak_bytes:
        return None
    allowed = memory.budget_bytes
    rows = [_bar("predicted", memory.predicted_peak_bytes, None)]
    if memory.measured_peak_bytes:
        rows.append(_bar("measured", memory.measured_peak_bytes, allowed))
    if lab and lab.rivals and not lab.whole:
        rows.append(_bar("end-to-end training, predicted", lab.rivals.plain.peak, None))
    limit = Bar("budget", allowed, show_bytes(allowed)) if allowed else None
    title = "Memory of one training step"
    summary = "; ".join(f"{row.label} {row.said}" for row in [*rows, *([limit] if limit else [])]) + "."
    cells = tuple((row.label, row.said, f"{int(row.value):,}", share(row.value, allowed or 0)) for row in rows)
    if limit:
        cells += ((limit.label, limit.said, f"{int(limit.value):,}", "100 %"),)
    table = Table(("", "memory", "bytes", "of the budget"), cells)
    return Figure(name, title, partial(bars, title, summary, rows, limit), table, _note(subject))


def _bar(label: str, value: int, allowed: int | None) -> Bar:
    kind = "over" if allowed and value > allowed else "measured" if label == "measured" else "predicted"
    return Bar(label, value, show_bytes(value), kind)


def _note(subject: Subject) -> str:
    device = subject.record.said.device
    if not subject.memory.measured_peak_bytes:
        return "No step was measured."
    how = "the allocator's own peak" if device.startswith("cuda") else "the bytes of all tensors alive"
    return f"Measured on {device or 'the device'}: {how} at the highest point of a step."


def budgets(subjects: Sequence[Subject]) -> Figure | None:
    """The same of several runs on one scale."""
    rows = [
        (each.label, float(each.memory.predicted_peak_bytes), float(each.memory.measured_peak_bytes),
         each.memory.budget_bytes)
        for each in subjects if each.memory.predicted_peak_bytes
    ]  # fmt: skip
    if len(rows) < 2:
        return None
    title = "Memory of one step, on one scale"
    summary = "; ".join(f"{label}: {show_bytes(measured or predicted)}" for label, predicted, measured, _ in rows) + "."
    table = Table(("run", "predicted", "measured", "budget"), tuple(
        (label, show_bytes(p), show_bytes(m) if m else "–", show_bytes(b) if b else "–") for label, p, m, b in rows
    ))  # fmt: skip
    return Figure("memory-of-all", title, partial(compared, title, summary, rows), table,
                  "A mark ends each run's own budget.")  # fmt: skip


def times(subject: Subject, name: str) -> Figure | None:
    """Seconds of a step by what they went into."""
    step, plan = subject.step, subject.plan
    if step is None or plan is None or len(step.seconds) != len(plan.instructions):
        return None
    found: defaultdict[str, float] = defaultdict(float)
    for instruction, took in zip(plan.instructions, step.seconds, strict=True):
        found[KINDS.get(instruction.kind, instruction.kind.replace("_", " "))] += took
    found[AFTER] += step.seconds_after
    whole = sum(found.values())
    counts = Counter(KINDS.get(i.kind, i.kind.replace("_", " ")) for i in plan.instructions)
    order = sorted(found.items(), key=lambda item: item[1], reverse=True)
    rows = [Bar(kind, took, f"{seconds(took)}, {share(took, whole)}") for kind, took in order]
    title = f"Where the {seconds(whole)} of a step go"
    summary = "; ".join(f"{row.label} {row.said}" for row in rows) + "."
    table = Table(("kind of instruction", "instructions", "time", "share"), tuple(
        (kind, str(counts[kind]) if kind != AFTER else "–", seconds(took), share(took, whole)) for kind, took in order
    ))  # fmt: skip
    return Figure(name, title, partial(bars, title, summary, rows, None), table,
                  f"The median of {step.timed_steps} steps on {step.device}, after the first three.")  # fmt: skip


def measured_timeline(subject: Subject) -> Sequence[int]:
    """The highest point of every instruction of a step as it was measured; of a failed one as far as it came."""
    return subject.step.peak_bytes if subject.step else ()


__all__ = ["Status", "budget", "budgets", "measured_timeline", "times"]

"""What else would have fitted, and how long it would have taken: a row for each kind of exact training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..fit.rivals import Rival
from ..fit.verdict import verdict, way
from ..plan.flops import step_flops
from .alternatives import Lab
from .clock import Clock
from .parts import Panel, Table
from .subject import Subject
from .words import sentence, show_bytes

WHAT = ("The same network, data, batch and optimizer, trained by one gradient from its end: as it is, and the "
        "fastest of each way to make that smaller, as `specc fit --rivals` compares them.")  # fmt: skip
CAPTION = "End-to-end training, as the compiler predicts it"


def panel(subject: Subject, lab: Lab | None) -> Panel:
    """Empty where nothing can be compiled, or where there is nothing but the run itself."""
    if lab is None or not lab.exact:
        return Panel(subject.label)
    clock = Clock(subject, lab)
    commands = tuple(_commands(subject.record.path, lab))
    return Panel(subject.label, tuple(_texts(lab, clock)), tables=((CAPTION, table(lab, clock)),), commands=commands)


def _texts(lab: Lab, clock: Clock) -> Iterator[str]:
    yield WHAT
    if lab.compared and lab.rivals and not lab.whole:
        yield sentence(verdict(lab.rivals))
    if not lab.compared:
        yield (f"Smaller ways are not looked for in {lab.ops:,} ops: that takes long, and the last command does it.")
    yield clock.said


def table(lab: Lab, clock: Clock) -> Table:
    """The run, then the others; without any times FLOPs say what each costs."""
    budget = "the budget" if lab.plan.config.budget else "what this run takes"
    costs = ("step", "whole training") if clock.known else ("FLOPs",)
    columns = ("way to train", "what changes", "peak", *costs, f"fits in {budget}, {show_bytes(lab.yardstick)}")
    rows = (_own(lab, clock), *(_row(each, lab, clock) for each in lab.exact))
    marked = 1 + lab.exact.index(lab.best) if lab.best else None
    return Table(columns, rows, frozenset({0, 1}), marked)


def _own(lab: Lab, clock: Clock) -> tuple[str, ...]:
    plan = lab.plan
    changes = "nothing: it is end-to-end training" if lab.whole else "local gradients: another training"
    plain = lab.rivals.plain.found.flops if lab.rivals else 0
    costs = clock.shown(clock.own) if clock.known else (f"{step_flops(plan) / plain:.2f} ×",)
    return "this run", changes, show_bytes(plan.memory.peak_bytes), *costs, fits(plan.memory.peak_bytes, lab)


def _row(each: Rival, lab: Lab, clock: Clock) -> tuple[str, ...]:
    found = each.candidate
    costs = clock.other(found) if clock.known else (f"{1 + each.extra:.2f} ×",)
    return way(each), ", ".join(each.changes) or "nothing", show_bytes(found.peak), *costs, fits(found.peak, lab)


def fits(peak: int, lab: Lab) -> str:
    """Whether a step stays below the yardstick, or by how much not."""
    return "yes" if peak <= lab.yardstick else f"no, {show_bytes(peak - lab.yardstick)} over"


def _commands(folder: Path, lab: Lab) -> Iterator[str]:
    """What trains each of them, and what compares more."""
    for each in lab.exact:
        if command := lab.command(folder, each):
            yield f"# {way(each)}\n{command}"
    yield f"# all of these beside the best of local methods\n{lab.search(folder)}"

"""Check 1: names that refer to one another inside of the spec, and things that are named twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...diagnostics import Diagnostic, Label, did_you_mean
from ...learning.losses import loss_fault
from ...spec.sections.levels import Level
from ...tasks.registry import TASKS
from ..draft import Draft


def check_names(draft: Draft) -> Draft:
    """Levels have names of their own, links name levels that exist, and a level speaks of each unit once."""
    found = [*_levels(draft), *_links(draft), *_task(draft)]
    for i, level in enumerate(draft.spec.config.levels):
        found += _units(draft, i, level)
    return draft.updated(*found)


def _task(draft: Draft) -> Iterator[Diagnostic]:
    """The loss of a package's task may not be there."""
    if fault := loss_fault(TASKS[draft.spec.config.task].loss):
        yield draft.spec.error("SPC112", str(fault), "task", label="cannot be used", help=(fault.help,))


def _repeated(names: Iterable[object]) -> Iterator[tuple[int, int]]:
    """Where something stands again, and where it stood first."""
    first: dict[object, int] = {}
    return ((i, first[name]) for i, name in enumerate(names) if first.setdefault(name, i) != i)


def _levels(draft: Draft) -> Iterator[Diagnostic]:
    spec = draft.spec
    for i, first in _repeated(level.name for level in spec.config.levels):
        taken = (Label(spec.span("levels", first, "name"), "first used here"),)
        message = f"two levels are called `{spec.config.levels[i].name}`"
        help = ("the name becomes part of parameter names, so it must be unique",)
        yield spec.error("SPC202", message, "levels", i, "name", label="taken", secondary=taken, help=help)


def _links(draft: Draft) -> Iterator[Diagnostic]:
    spec = draft.spec
    names = [level.name for level in spec.config.levels]
    for i, link in enumerate(spec.config.ema_links):
        for j, name in enumerate(link.levels or ()):
            if name not in names:
                help = did_you_mean(name, names)
                at = ("ema_links", i, "levels", j)
                yield spec.error("SPC207", f"no level is called `{name}`", *at, label="unknown level", help=help)


def _units(draft: Draft, i: int, level: Level) -> Iterator[Diagnostic]:
    spec, changed = draft.spec, [own.unit for own in level.units]
    for j, first in _repeated(level.skip):
        again = (Label(spec.span("levels", i, "skip", first), "first named here"),)
        yield spec.error("SPC208", f"unit {level.skip[j]} is skipped twice", "levels", i, "skip", j, label="again",
                         secondary=again)  # fmt: skip
    help = ("put all changes of a unit into one entry",)
    for j, first in _repeated(changed):
        again = (Label(spec.span("levels", i, "units", first, "unit"), "first named here"),)
        yield spec.error("SPC208", f"two entries change unit {changed[j]}", "levels", i, "units", j, "unit",
                         label="again", secondary=again, help=help)  # fmt: skip
    for j, unit in enumerate(changed):
        if unit in level.skip and changed.index(unit) == j:
            there = (Label(spec.span("levels", i, "skip", level.skip.index(unit)), "skipped here"),)
            yield spec.error("SPC407", f"unit {unit} is skipped, so there is nothing to change", "levels", i, "units",
                             j, "unit", label="does not exist", secondary=there)  # fmt: skip

"""Check 1: names that refer to one another inside of the spec, and things that are named twice."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics import Diagnostic, Label, did_you_mean
from ...spec.sections.levels import Level
from ..draft import Draft


def check_names(draft: Draft) -> Draft:
    """Levels have names of their own, links name levels that exist, and a level speaks of each unit once."""
    found = [*_levels(draft), *_links(draft)]
    for i, level in enumerate(draft.spec.config.levels):
        found += _units(draft, i, level)
    return draft.updated(*found)


def _levels(draft: Draft) -> Iterator[Diagnostic]:
    spec = draft.spec
    first: dict[str, int] = {}
    for i, level in enumerate(spec.config.levels):
        if level.name in first:
            taken = (Label(spec.span("levels", first[level.name], "name"), "first used here"),)
            message = f"two levels are called `{level.name}`"
            help = ("the name becomes part of parameter names, so it must be unique",)
            yield spec.error("SPC202", message, "levels", i, "name", label="taken", secondary=taken, help=help)
        first.setdefault(level.name, i)


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
    spec = draft.spec
    skipped: dict[int, int] = {}
    for j, unit in enumerate(level.skip):
        if unit in skipped:
            again = (Label(spec.span("levels", i, "skip", skipped[unit]), "first named here"),)
            message = f"unit {unit} is skipped twice"
            yield spec.error("SPC208", message, "levels", i, "skip", j, label="again", secondary=again)
        skipped.setdefault(unit, j)
    changed: dict[int, int] = {}
    for j, own in enumerate(level.units):
        at = ("levels", i, "units", j, "unit")
        if own.unit in changed:
            again = (Label(spec.span("levels", i, "units", changed[own.unit], "unit"), "first named here"),)
            help = ("put all changes of a unit into one entry",)
            yield spec.error("SPC208", f"two entries change unit {own.unit}", *at, label="again", secondary=again,
                             help=help)  # fmt: skip
        elif own.unit in skipped:
            there = (Label(spec.span("levels", i, "skip", skipped[own.unit]), "skipped here"),)
            message = f"unit {own.unit} is skipped, so there is nothing to change"
            yield spec.error("SPC407", message, *at, label="does not exist", secondary=there)
        changed.setdefault(own.unit, j)

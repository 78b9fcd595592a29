"""A run that may begin, or go on, as its first rank tells the others of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specc.plan import Plan

from .rundir import RunDir


@dataclass(frozen=True, slots=True)
class Going:
    """With what there is to say of it, which the first rank says alone."""

    plan: Plan
    target: RunDir
    resolved: str
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    resumed: bool = False


def told_of(going: Going | None) -> list[Any] | None:
    """As JSON; nothing of a run that is over."""
    return [going.plan.to_json(), str(going.target.path), going.resolved, going.resumed] if going else None


def heard_of(told: list[Any] | None) -> Going | None:
    """What `told_of` has told."""
    if told is None:
        return None
    plan, path, resolved, resumed = told
    return Going(Plan.from_json(plan), RunDir(Path(path)), resolved, resumed=resumed)

"""Which op or group an unknown name probably stands for; of the two kinds, one is easily written for the other."""

from __future__ import annotations

from collections.abc import Collection

from ..diagnostics import did_you_mean, suggest
from .macros import MACROS
from .ops import OPS


def unknown_op(name: str, groups: Collection[str]) -> tuple[str, ...]:
    """Help for an `op:` that is none.

    >>> unknown_op("bottle", ["bottle"])
    ('`bottle` is a group of this spec: write `group: bottle`',)
    """
    if name in groups:
        return (f"`{name}` is a group of this spec: write `group: {name}`",)
    ops = [*OPS, *MACROS]
    near = suggest(name, [*ops, *groups])
    return (f"did you mean `group: {near}`?",) if near in groups else did_you_mean(name, ops)


def unknown_group(name: str, groups: Collection[str]) -> tuple[str, ...]:
    """Help for a `group:` that is none.

    >>> unknown_group("relu", [])
    ('`relu` is an op: write `op: relu`',)
    """
    if name in OPS or name in MACROS:
        return (f"`{name}` is an op: write `op: {name}`",)
    return did_you_mean(name, groups) if groups else ("groups stand under `define:`",)

"""Which findings are mere consequences of others: those that were derived from a part of the spec that is wrong."""

from __future__ import annotations

from collections.abc import Iterable

from ..codes import CODES, Pattern
from ..diagnostics import Diagnostic
from ..spec.source import Path


def genuine(found: Iterable[Diagnostic], doubts: frozenset[Path]) -> tuple[Diagnostic, ...]:
    """The findings that rest on nothing doubtful."""
    return tuple(d for d in found if not any(_overlap(p, path) for p in _needs(d) for path in doubts))


def _needs(diagnostic: Diagnostic) -> tuple[Pattern, ...]:
    code = CODES.get(diagnostic.code)
    return code.patterns if code and code.needs else (("*",),)


def _overlap(pattern: Pattern, path: Path) -> bool:
    """Whether one lies inside of the other.

    >>> _overlap(("levels", "*", "window"), ("levels", 1)), _overlap(("levels", "*", "window"), ("levels", 1, "name"))
    (True, False)
    """
    return all(part in ("*", other) for part, other in zip(pattern, map(str, path), strict=False))

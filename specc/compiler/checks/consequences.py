"""Which findings are mere consequences of others: those that were derived from a part of the spec that is wrong."""

from __future__ import annotations

from collections.abc import Iterable

from ...diagnostics import Diagnostic
from ...diagnostics.codes import CODES, Pattern
from ...language.source import Path, Tree
from ...spec.load import paths_at


def reliable(found: Iterable[Diagnostic], unreliable: frozenset[Path], tree: Tree) -> tuple[Diagnostic, ...]:
    """The findings that rest on nothing unreliable."""
    return tuple(d for d in found if not unreliable or not _rests_on(d, unreliable, tree))


def _rests_on(diagnostic: Diagnostic, unreliable: frozenset[Path], tree: Tree) -> bool:
    own = paths_at([diagnostic.span] if diagnostic.span else [], tree)
    code = CODES.get(diagnostic.code)
    patterns = code.patterns if code and code.needs else (("*",),)
    needs = {_bind(pattern, path) for pattern in patterns for path in own or {()}}
    return any(_overlap(need, path) for need in needs for path in unreliable)


def _bind(pattern: Pattern, own: Path) -> Pattern:
    """The pattern for a finding at `own`: of a list that it stands in, only its own item matters.

    >>> _bind(("levels", "*", "window"), ("levels", 2, "skip"))
    ('levels', '2', 'window')
    >>> _bind(("levels", "*", "window"), ("auxiliary",))
    ('levels', '*', 'window')
    """
    if "*" not in pattern or len(own) <= (at := pattern.index("*")) or pattern[:at] != own[:at]:
        return pattern
    return (*pattern[:at], str(own[at]), *pattern[at + 1 :]) if at else pattern


def _overlap(pattern: Pattern, path: Path) -> bool:
    """Whether one lies inside of the other.

    >>> _overlap(("levels", "*", "window"), ("levels", 1)), _overlap(("levels", "*", "window"), ("levels", 1, "name"))
    (True, False)
    """
    return all(part in ("*", other) for part, other in zip(pattern, map(str, path), strict=False))

"""Which run directories there are in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from . import manifest
from .names import PLAN, RESOLVED, SUMMARY

_DEEPEST = 6  # folders below the root: `runs/NAME/TIME-HASH` is two


def find_runs(root: Path, pattern: str = "*") -> list[Path]:
    """The run directories in `root`, or `root` itself if it is one, that a pattern with `*` and `?` is meant for.

    It is meant for the way from `root` to a run, or for one of the names on it. Links to folders are not followed.
    """
    return [path for path in _runs(root, _DEEPEST) if _matches(path.relative_to(root).parts, pattern)]


def is_run(folder: Path) -> bool:
    """Whether a run was begun there, whatever is left of it."""
    if any(os.path.lexists(folder / name) for name in (PLAN, SUMMARY)):
        return True
    return all(os.path.lexists(folder / name) for name in (manifest.NAME, RESOLVED))


def _runs(folder: Path, depth: int) -> Iterator[Path]:
    if is_run(folder):
        yield folder
    elif depth:
        for name in _folders(folder):
            yield from _runs(folder / name, depth - 1)


def _folders(folder: Path) -> list[str]:
    """The names of its folders in order; none of one that cannot be read."""
    with suppress(OSError, ValueError), os.scandir(folder) as found:
        return sorted(e.name for e in found if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
    return []


def _matches(parts: tuple[str, ...], pattern: str) -> bool:
    return not parts or any(fnmatchcase(name, pattern) for name in ("/".join(parts), *parts))

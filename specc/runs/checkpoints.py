"""The checkpoints of a run directory by name; what is in them takes torch to read."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from ..system import files
from . import manifest
from .names import CHECKPOINTS

NAME = re.compile(r"([0-9]{9,18})(?:\.([1-9][0-9]?))?")  # a second state after as many steps: its evaluation is done


def listed(run_dir: Path) -> list[str]:
    """All by name, the newest first; finished ones, and what a crash left of others. `OSError` for no such folder."""
    try:
        found = files.names_in(run_dir / CHECKPOINTS)
    except FileNotFoundError:
        return []
    return sorted(filter(NAME.fullmatch, found), key=order, reverse=True)


def order(name: str) -> tuple[int, int]:
    """The steps in all, and which of several states after as many."""
    match = NAME.fullmatch(name)
    return (int(match[1]), int(match[2] or 0)) if match else (-1, 0)


def is_finished(path: Path) -> bool:
    """Whether a checkpoint was written to its end, whatever has become of it since."""
    return os.path.lexists(path / manifest.NAME)


def exists(run_dir: Path) -> bool:
    """Whether a checkpoint was saved."""
    with suppress(OSError):
        return any(is_finished(run_dir / CHECKPOINTS / name) for name in listed(run_dir))
    return False

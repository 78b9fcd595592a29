"""Checkpoints are added, set aside and removed; none is ever replaced."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from specc.runs import manifest
from specc.runs.checkpoints import is_finished, listed, order
from specc.runs.manifest import Entry
from specc.runs.names import CHECKPOINTS as FOLDER
from specc.system import files

from .checkpoint import Found, names
from .durable import write_file, writing

_ASIDE = ".damaged"


def name_for(run_dir: Path, steps: int) -> str:
    """What the next checkpoint is called; one more after as many steps is of a later state."""
    with writing(run_dir / FOLDER):
        same = [name for name in listed(run_dir) if order(name)[0] == steps]
        taken = [name for name in same if is_finished(run_dir / FOLDER / name)]
    return f"{steps:09d}" + (f".{order(taken[0])[1] + 1}" if taken else "")


def write(run_dir: Path, name: str, contents: Iterable[tuple[str, bytes]]) -> Path:
    """Put a new checkpoint beside the others; it counts from the moment at which its manifest is there."""
    folder = run_dir / FOLDER
    path = folder / name
    with writing(path):
        folder.mkdir(exist_ok=True)  # and not the run directory: one that is gone was moved or removed
        remove_unfinished(run_dir)
        path.mkdir()
        try:
            _fill(path, contents)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)  # a full disk is in need of room
            raise
        files.sync(folder)
    return path


def _fill(path: Path, contents: Iterable[tuple[str, bytes]]) -> None:
    entries = {}
    for name, content in contents:
        files.create(path / name, content)
        files.sync(path / name)
        entries[name] = Entry.of(content)
    files.sync(path)
    write_file(path / manifest.NAME, manifest.render(entries))


def remove_unfinished(run_dir: Path) -> None:
    """Remove what a crash left of a checkpoint."""
    for name in listed(run_dir):
        if not is_finished(run_dir / FOLDER / name):
            shutil.rmtree(run_dir / FOLDER / name)


def set_aside(found: Found) -> list[Path]:
    """Move damaged ones out of the way, for who wants to look at them; of two of one name the later stays."""
    moved = []
    for path in (found.path.with_name(name) for name in found.skipped):
        if is_finished(path):  # else it is half a checkpoint, which the next one clears away
            aside = path.with_name(path.name + _ASIDE)
            with writing(path):
                if aside.exists():
                    shutil.rmtree(aside)
                os.replace(path, aside)
            moved.append(aside)
    return moved


def prune(run_dir: Path, keep_last: int, kept: str | None = None) -> None:
    """Remove all but the last ones, and the one that is kept for another reason."""
    for name in names(run_dir)[keep_last:]:
        path = run_dir / FOLDER / name
        if name != kept:
            with writing(path):
                (path / manifest.NAME).unlink(missing_ok=True)  # the first: what is half removed was never finished
                shutil.rmtree(path)

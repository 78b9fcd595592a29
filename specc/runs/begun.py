"""What a run was started with: files of its folder under one manifest, and each as it was written, or damaged."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from . import manifest
from .manifest import Damaged


def read(folder: Path, name: str) -> bytes:
    """What a file of the record holds; raises `Damaged` where it is not what was written.

    New files that a crash has left beside the old ones are read from there, where the manifest is theirs already.
    """
    try:
        return manifest.read_file(folder, name)
    except Damaged:
        with suppress(Damaged):
            return manifest.read_file(folder, name, beside(folder, name).name)
        raise


def fault(folder: Path, name: str) -> str:
    """What is wrong with a file of the record, or nothing."""
    try:
        read(folder, name)
    except Damaged as error:
        return str(error)
    return ""


def beside(folder: Path, name: str) -> Path:
    """Where a file lies that is about to take its place."""
    return folder / f".{name}.next"

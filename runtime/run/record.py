"""What a run was started with: files of its folder under one manifest, so that they are as they were written.

Several of them are replaced together: the new ones are put beside the old, the manifest is replaced, which is the
moment that counts, and then they take their places. A reader takes those that go with the manifest, wherever they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from specc.system import files

from . import manifest
from .durable import writing
from .manifest import Damaged, Entry

_LEFT = re.compile(r"\.[a-z.]+\.(next|[0-9]+\.tmp)")


def write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Put these files into the record, in the place of those of the same names."""
    with suppress(Damaged):
        settle(folder)
    for name, content in contents.items():
        beside = _beside(folder, name)
        with writing(folder / name):
            files.check_replaceable(folder / name)
            beside.unlink(missing_ok=True)
            files.create(beside, content)
            files.sync(beside)
    known = manifest.read(folder) if os.path.lexists(folder / manifest.NAME) else {}
    manifest.write(folder, known | {name: Entry.of(content) for name, content in contents.items()})
    settle(folder)


def read(folder: Path, name: str) -> bytes:
    """What a file of the record holds; raises `Damaged` where it is not what was written."""
    try:
        return manifest.read_file(folder, name)
    except Damaged:
        with suppress(Damaged):
            return manifest.read_file(folder, name, _beside(folder, name).name)
        raise


def fault(folder: Path, name: str) -> str:
    """What is wrong with a file of the record, or nothing."""
    try:
        read(folder, name)
    except Damaged as error:
        return str(error)
    return ""


def settle(folder: Path) -> None:
    """Finish what a crash left half done: new files take their places, and what nobody asked for is removed."""
    entries = manifest.read(folder)
    with writing(folder):
        for name in entries:
            with suppress(Damaged):
                manifest.read_file(folder, name, _beside(folder, name).name)
                os.replace(_beside(folder, name), folder / name)
        for name in filter(_LEFT.fullmatch, files.names_in(folder)):
            (folder / name).unlink()
        files.sync(folder)


def _beside(folder: Path, name: str) -> Path:
    return folder / f".{name}.next"

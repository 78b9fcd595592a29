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

from specc.runs import manifest
from specc.runs.begun import beside
from specc.runs.manifest import Damaged, Entry
from specc.system import files

from .durable import write_file, writing

_LEFT = re.compile(r"\.[a-z.]+\.(next|[0-9]+\.tmp)")


def write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Put these files into the record, in the place of those of the same names."""
    with suppress(Damaged):
        settle(folder)
    for name, content in contents.items():
        new = beside(folder, name)
        with writing(folder / name):
            files.check_replaceable(folder / name)
            new.unlink(missing_ok=True)
            files.create(new, content)
            files.sync(new)
    known = manifest.read(folder) if os.path.lexists(folder / manifest.NAME) else {}
    entries = known | {name: Entry.of(content) for name, content in contents.items()}
    write_file(folder / manifest.NAME, manifest.render(entries))
    settle(folder)


def settle(folder: Path) -> None:
    """Finish what a crash left half done: new files take their places, and what nobody asked for is removed."""
    entries = manifest.read(folder)
    with writing(folder):
        for name in entries:
            with suppress(Damaged):
                manifest.read_file(folder, name, beside(folder, name).name)
                os.replace(beside(folder, name), folder / name)
        for name in filter(_LEFT.fullmatch, files.names_in(folder)):
            (folder / name).unlink()
        files.sync(folder)

"""Checkpoints of a run directory, for tests that look into them or spoil them."""

from __future__ import annotations

from pathlib import Path

from runtime.run import checkpoint
from specc.runs import manifest
from specc.runs.manifest import Entry


def newest(run: Path) -> Path:
    """The folder of the newest one."""
    return checkpoint.newest(run).path


def names(run: Path) -> list[str]:
    """What there is, the oldest first."""
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def forge(folder: Path, name: str, content: bytes | str) -> None:
    """Write a file so that the manifest agrees, as somebody would who means harm."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    entries = {file: Entry.of((folder / file).read_bytes()) for file in manifest.read(folder)}
    (folder / manifest.NAME).write_bytes(manifest.render(entries))


def flip(path: Path, place: int = -1) -> None:
    """Change one byte."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)

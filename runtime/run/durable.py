"""Files and folders that are there as a whole or not at all, even where a crash or a full disk comes in between."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from specc.system import files

from ..errors import WriteError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the disk refuses is a `WriteError` that names `path`; safetensors has an error of its own for it."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise WriteError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file to write that takes the place of `path` once it is whole and on the disk."""
    with writing(path), files.replacing(path) as temporary:
        yield temporary


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file as a whole."""
    with new_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, that takes the place of `folder` once it is whole and on the disk.

    A folder cannot replace another one in a single move. So the old one is moved aside first; where a crash comes in
    between, neither is in place and both are there, which `last_whole` and the next call know.
    """
    _recover(folder)
    new, old = _new_and_old(folder)
    with writing(folder):
        try:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            yield new
            for file in (*new.iterdir(), new):
                files.sync(file)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
        files.sync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)


def last_whole(folder: Path) -> Path:
    """Where the last whole folder is, for readers; that the one before is aside says that the new one is whole."""
    new, old = _new_and_old(folder)
    if os.path.exists(folder) or not os.path.exists(old):
        return folder
    return new if os.path.exists(new) else old


def _recover(folder: Path) -> None:
    """Finish what a crash left half done."""
    _, old = _new_and_old(folder)
    with writing(folder):
        if (whole := last_whole(folder)) != folder:
            os.replace(whole, folder)
        if old.exists():
            shutil.rmtree(old)


def _new_and_old(folder: Path) -> tuple[Path, Path]:
    """Where the next folder is made, and where the last one waits until that is in place."""
    return folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")

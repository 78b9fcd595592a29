"""Files and folders that are there as a whole or not at all, even where a crash or a full disk comes in between."""

from __future__ import annotations

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
    """Write a file as a whole, in the place of a regular file or of nothing."""
    with writing(path):
        files.check_replaceable(path)
    with new_file(path) as temporary:
        files.create(temporary, content.encode() if isinstance(content, str) else content)

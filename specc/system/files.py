"""Files: regular ones only are read, so that nothing waits for a pipe or drains a device; they are written whole."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

AnyPath = str | os.PathLike[str]


def open_regular(path: AnyPath) -> BinaryIO:
    """The file, open for reading; `OSError` where it is no regular file, or where no file can have such a name."""
    try:
        _check(os.stat(path), path)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except ValueError as error:  # a NUL, or a character that names cannot be encoded with
        raise OSError(errno.EINVAL, "no file can have such a name", os.fspath(path)) from error
    try:
        _check(os.fstat(descriptor), path)  # it may have been replaced in between
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check(found: os.stat_result, path: AnyPath) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", os.fspath(path))


def read(path: AnyPath, most: int = -1) -> bytes:
    """What a regular file holds, or the first `most` bytes of it."""
    with open_regular(path) as file:
        return file.read(most)


def read_text(path: AnyPath) -> str:
    """What a regular file holds, as UTF-8."""
    return read(path).decode("utf-8")


def mapping(text: str | bytes) -> dict[str, Any]:
    """A JSON document that is a mapping; `ValueError` for anything else, however deep."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"a mapping was expected, not {type(found).__name__}")
    return found


def check_regular(path: AnyPath) -> None:
    """Raise `OSError` for what is there and no regular file; before a library opens it by its name."""
    open_regular(path).close()


def exists(path: AnyPath) -> bool:
    """Whether there is something of this name; false for what cannot be a name."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write that takes the place of `path` once it is whole and on the disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # half a file is of no use, and a full disk is in need of room
            temporary.unlink()
        raise


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems do not do that for folders
            raise
    finally:
        os.close(handle)

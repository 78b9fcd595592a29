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


def open_regular(path: AnyPath, *, follow: bool = True) -> BinaryIO:
    """The file, open for reading; `OSError` where it is no regular file, or where no file can have such a name.

    Without `follow` a symbolic link is none either: in a folder of somebody else's it may lead anywhere.
    """
    flags = os.O_RDONLY | _flag("O_NONBLOCK") | _flag("O_CLOEXEC") | (0 if follow else _flag("O_NOFOLLOW"))
    try:
        _check(os.stat(path, follow_symlinks=follow), path)
        descriptor = os.open(path, flags)
    except ValueError as error:  # a NUL, or a character that names cannot be encoded with
        raise OSError(errno.EINVAL, "no file can have such a name", os.fspath(path)) from error
    try:
        _check(os.fstat(descriptor), path)  # it may have been replaced in between
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _flag(name: str) -> int:
    """A flag of `os.open`, where the system has it."""
    return int(getattr(os, name, 0))


def _check(found: os.stat_result, path: AnyPath) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "A symbolic link, which is not followed here", os.fspath(path))
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", os.fspath(path))


def read(path: AnyPath, most: int = -1, *, follow: bool = True) -> bytes:
    """What a regular file holds, or the first `most` bytes of it."""
    with open_regular(path, follow=follow) as file:
        return file.read(most)


def read_whole(path: AnyPath, most: int, *, follow: bool = True, own: bool = False) -> bytes:
    """What a regular file holds; `OSError` for one of more bytes, or of another user where it has to be one's `own`.

    What belongs to the system's administrator is as good as one's own.
    """
    with open_regular(path, follow=follow) as file:
        facts = os.fstat(file.fileno())
        if facts.st_size > most:
            raise OSError(errno.EFBIG, f"It has {facts.st_size:,} bytes, where {most:,} are read at most", path)
        if own and hasattr(os, "geteuid") and facts.st_uid not in (os.geteuid(), 0):
            raise PermissionError(errno.EPERM, "It belongs to another user", path)
        return file.read(most)


def read_text(path: AnyPath, *, follow: bool = True) -> str:
    """What a regular file holds, as UTF-8."""
    return read(path, follow=follow).decode("utf-8")


def names_in(folder: AnyPath) -> list[str]:
    """The names in a folder, in order; `OSError` for a link to one."""
    if stat.S_ISLNK(os.lstat(folder).st_mode):
        raise OSError(errno.ELOOP, "A symbolic link, which is not followed here", os.fspath(folder))
    return sorted(os.listdir(folder))


def check_replaceable(path: AnyPath) -> None:
    """Raise `OSError` for what is there and no regular file: a link, a folder, a device."""
    with suppress(FileNotFoundError):
        _check(os.lstat(path), path)


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
    with suppress(FileNotFoundError):  # of a process that died, or a link that somebody put there
        temporary.unlink()
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        with suppress(PermissionError):  # a folder may be written to by somebody who may not list it
            sync(path.parent)
    except BaseException:
        with suppress(OSError):  # half a file is of no use, and a full disk is in need of room
            temporary.unlink()
        raise


def own_descriptor(path: AnyPath) -> int:
    """A file to read and to append to, there or not: regular, no link, and under no other name besides."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | _flag("O_NONBLOCK") | _flag("O_NOFOLLOW") | _flag("O_CLOEXEC")
    check_replaceable(path)
    descriptor = os.open(path, flags, 0o666)
    try:
        found = os.fstat(descriptor)
        _check(found, path)
        if found.st_nlink > 1:
            raise OSError(errno.EMLINK, "It has other names (hard links), under which it would be written to", path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def create(path: AnyPath, content: bytes) -> None:
    """Write a file that is not there yet, with the mode that the user's umask leaves."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _flag("O_NOFOLLOW") | _flag("O_CLOEXEC"), 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole: what a full disk does not take leaves the one before as it was."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


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

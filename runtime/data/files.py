"""Reading the files of a data set: never more of them than can belong to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from specc.system.files import open_regular

T = TypeVar("T")


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a file; `ValueError` where they are more than `most`, which is asked before any is read."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(f"{path} has {size:,} bytes, more than the {most:,} that such a file may have")
        return file.read(most)


def parsed(path: str | Path, parse: Callable[[], T]) -> T:
    """Call a parser that was not written for damaged files: whatever it raises is the file's fault."""
    try:
        return parse()
    except Exception as error:
        raise ValueError(f"{path} is damaged: {described(error)}") from error


def described(error: BaseException) -> str:
    """What an exception says, on one line; its name where it says nothing."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def remark(path: Path) -> str:
    """Why a file is not read although something is there; nothing where nothing is."""
    with suppress(OSError, ValueError):
        if not path.is_file() and path.exists():
            return " (which is there, but no regular file)"
        blocked = next((parent for parent in path.parents if parent.exists() and not parent.is_dir()), None)
        return f" ({blocked} is no folder)" if blocked else ""
    return ""

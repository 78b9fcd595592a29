"""The one way in which data fails, and how it is put."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from runtime.errors import RunError

T = TypeVar("T")


class DataError(RunError):
    """Data that cannot be had: the message says what and where, `help` what to do about it, a line each.

    It ends a run as every `RunError` does, whether the data set is being opened or trained on. `code` names the page
    that explains it, for what is shown as a mistake of the spec that names the folder.
    """

    def __init__(self, message: str, help: Iterable[str] = (), code: str = "") -> None:
        super().__init__(message, tuple(help))
        self.code = code


def missing(dataset: str, looked: Iterable[Path], *, layout: str, download: bool) -> DataError:
    """The error for a data set that is not on the disk; `looked` holds absolute paths, `layout` what `root` needs."""
    places = "".join(f"\n  looked for {path}{remark(path)}" for path in looked)
    fetch = ["to download it: specc run SPEC data.download=true"] if download else []
    return DataError(
        f"the data set `{dataset}` is not there{places}",
        help=[*fetch, f"to use a copy: set data.root (or SPECC_DATA) to a folder that contains {layout}"],
    )


def remark(path: Path) -> str:
    """Why a file is not read although something is there; nothing where nothing is."""
    with suppress(OSError, ValueError):
        if not path.is_file() and path.exists():
            return " (which is there, but no regular file)"
        blocked = next((parent for parent in path.parents if parent.exists() and not parent.is_dir()), None)
        return f" ({blocked} is no folder)" if blocked else ""
    return ""


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

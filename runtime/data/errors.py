"""The one way in which data fails."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from runtime.data.files import remark
from runtime.errors import RunError


class DataError(RunError):
    """Data that cannot be had: the message says what and where, `help` what to do about it, a line each.

    It ends a run as every `RunError` does, whether the data set is being opened or trained on.
    """

    def __init__(self, message: str, help: Iterable[str] = ()) -> None:
        super().__init__(message, tuple(help))


def missing(dataset: str, looked: Iterable[Path], *, layout: str, download: bool) -> DataError:
    """The error for a data set that is not on the disk; `looked` holds absolute paths, `layout` what `root` needs."""
    places = "".join(f"\n  looked for {path}{remark(path)}" for path in looked)
    fetch = ["to download it: specc run SPEC data.download=true"] if download else []
    return DataError(
        f"the data set `{dataset}` is not there{places}",
        help=[*fetch, f"to use a copy: set data.root (or SPECC_DATA) to a folder that contains {layout}"],
    )

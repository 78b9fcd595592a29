"""Data sets that come as a few files: torchvision downloads and checks them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from runtime.data.config import DataConfig
from runtime.data.errors import DataError, missing

T = TypeVar("T")


def read_archive(config: DataConfig, files: Sequence[str], read: Callable[[Path], T]) -> T:
    """What `read` (a torchvision class, called with the root) gives; `files` are relative to the root.

    A missing file is noticed here, before torchvision takes seconds to be imported.
    """
    paths = [config.folder / name for name in files]
    if not config.download and not all(path.is_file() for path in paths):
        raise missing(config.dataset, paths, layout=" and ".join(files), download=True)
    return guarded(config, lambda: read(config.folder))


def guarded(config: DataConfig, read: Callable[[], T]) -> T:
    """Call `read`, which downloads or parses files; what goes wrong there becomes a `DataError`."""
    try:
        return read()
    except (OSError, EOFError, RuntimeError, ValueError, zlib.error) as error:
        raise DataError(
            f"the data set `{config.dataset}` in {config.folder} cannot be read: {error}", help=[_remedy(config)]
        ) from error


def _remedy(config: DataConfig) -> str:
    if config.download:
        return "if the download failed: put the files there yourself and leave data.download=true away"
    return "to fetch it anew: remove the damaged files, then specc run SPEC data.download=true"

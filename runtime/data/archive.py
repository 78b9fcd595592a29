"""Data sets that come as a few files: torchvision downloads them, and their checksums are those of the originals."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from runtime.data.config import DataConfig
from runtime.data.errors import DataError, described, missing
from specc.system.files import open_regular

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Archive:
    """The original files of a data set: path from `root` to checksum (MD5, as published), none above `most` bytes.

    torchvision's class of that name downloads them, called once for each of `parts` with these arguments.
    """

    files: Mapping[str, str]
    most: int
    torchvision: str
    parts: Sequence[Mapping[str, str]] = ({},)

    def read(self, config: DataConfig, parse: Callable[[Callable[[str], bytes]], T]) -> T:
        """What `parse` makes of a function from a file's name to its verified bytes."""
        if config.download:
            downloaded(config, self.torchvision, self.parts)
        absent = [path for name in self.files if not (path := config.folder / name).is_file()]
        if absent:
            raise missing(config.dataset, absent, layout=" and ".join(self.files), download=True)
        return guarded(config, lambda: parse(lambda name: self._content(config.folder, name)))

    def _content(self, folder: Path, name: str) -> bytes:
        content = read_regular(folder / name, self.most)
        if not is_original(content, self.files[name]):
            raise ValueError(f"{folder / name} is not the original file: its checksum is another one")
        return content


def is_original(content: bytes, checksum: str) -> bool:
    """Whether a file's MD5 is the published one."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest() == checksum


def downloaded(config: DataConfig, name: str, parts: Sequence[Mapping[str, str]] = ({},)) -> None:
    """Have a class of torchvision download a data set."""

    def download() -> None:
        from torchvision import datasets  # late: takes seconds

        for part in parts:
            getattr(datasets, name)(str(config.folder), download=True, **part)

    fetched(config, download)


def fetched(config: DataConfig, fetch: Callable[[], Any]) -> None:
    """Call `fetch`, which downloads or unpacks; whatever a connection or an archive raises becomes a `DataError`."""
    try:
        fetch()
    except Exception as error:
        help = ["put the files there yourself and leave data.download=true away"]
        what = f"the data set `{config.dataset}` cannot be fetched into {config.folder}: {described(error)}"
        raise DataError(what, help=help) from error


def guarded(config: DataConfig, read: Callable[[], T]) -> T:
    """Call `read`, which parses files; what goes wrong there becomes a `DataError`."""
    try:
        return read()
    except (OSError, EOFError, MemoryError, RuntimeError, ValueError, zlib.error) as error:
        what = f"the data set `{config.dataset}` in {config.folder} cannot be read: {described(error)}"
        help = ["to fetch it anew: remove the damaged files, then specc run SPEC data.download=true"]
        raise DataError(what, help=help) from error


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a file; `ValueError` where they are more than `most`, which is asked before any is read."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(f"{path} has {size:,} bytes, more than the {most:,} that such a file may have")
        return file.read(most)

"""What is in a safetensors file, as its header says it: names, shapes and kinds of numbers, no number is read."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from ..graph.ops import Shape
from ..system import files

MOST = 100 << 20  # bytes of a header, as safetensors itself has it


class WeightsError(ValueError):
    """A file of weights that cannot be used; the message says why."""

    def __init__(self, message: str, help: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.help = help


class NoWeightsError(WeightsError):
    """There is no such file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor of a file."""

    shape: Shape
    whole: bool = False  # its numbers are integers or truth values
    file: str = ""  # that its numbers are in


def header_of(path: str) -> Mapping[str, Entry]:
    """The tensors of a safetensors file by name; raises `WeightsError` where it is none."""
    try:
        with files.open_regular(path) as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > MOST:
                raise WeightsError(f"{path} is no safetensors file: its header would have {size} bytes")
            header = json.loads(file.read(size))
        return {name: _entry(said, path) for name, said in header.items() if name != "__metadata__"}
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, TypeError, KeyError, AttributeError, struct.error, RecursionError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path} is no safetensors file: its header cannot be read") from None


def unreadable(path: str, error: OSError) -> WeightsError:
    """What the system says of a file."""
    kind = NoWeightsError if isinstance(error, FileNotFoundError) else WeightsError
    return kind(f"{path} cannot be read: {error.strerror or error}")


def _entry(said: Mapping[str, object], path: str) -> Entry:
    shape = said["shape"]
    if not isinstance(shape, list) or not all(isinstance(length, int) and length >= 0 for length in shape):
        raise ValueError(shape)
    return Entry(tuple(shape), not str(said["dtype"]).startswith(("F", "BF")), path)


def sha256_of(path: str) -> str:
    """SHA-256 of a file; raises `WeightsError` where it cannot be read."""
    try:
        with files.open_regular(path) as file:
            stat = _stat(file.fileno())
            return _digest(path, *stat)
    except OSError as error:
        raise unreadable(path, error) from None


def _stat(descriptor: int) -> tuple[int, int, int]:
    found = os.fstat(descriptor)
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=256)
def _digest(path: str, inode: int, size: int, modified: int) -> str:
    with files.open_regular(path) as file:
        return hashlib.file_digest(cast(Any, file), "sha256").hexdigest()

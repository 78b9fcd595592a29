"""Files that lie in tar files: where each of them lies, and its bytes. Nothing is unpacked.

The headers of a tar file are read once, when a data set is opened; a sample then is some bytes at a known place, and
may be read in any order, by any process.
"""

from __future__ import annotations

import io
import os
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from specc.system.files import open_regular

_BLOCK = 512
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"(\xb5/\xfd": "zstd"}
_LABEL, _MOST_OF_LABEL = ".cls", 32  # bytes


class Member(str):
    """A file in a tar file, by the path of that one and its own name there; with the bytes that it is."""

    __slots__ = ("archive", "first", "size")
    archive: str
    first: int
    size: int

    @classmethod
    def of(cls, archive: str, name: str, first: int, size: int) -> Member:
        """The member of this name."""
        found = cls(f"{archive}/{posixpath.normpath(name)}")
        found.archive, found.first, found.size = archive, first, size
        return found


@dataclass(frozen=True, slots=True)
class Entry:
    """What a tar file says of one of its files, with the text of one that is a label."""

    name: str
    first: int
    size: int
    label: str = ""


def opened(path: str) -> BinaryIO:
    """A file for reading, be it in a tar file."""
    if not isinstance(path, Member):
        return open_regular(path)
    with open_regular(path.archive) as file:
        file.seek(path.first)
        content = file.read(path.size)
    if len(content) < path.size:
        raise ValueError(f"{path.archive} ends before it does")
    return io.BytesIO(content)


def stated(path: str) -> os.stat_result:
    """What the system says of a file, or of the tar file that it lies in."""
    return os.stat(path.archive if isinstance(path, Member) else path)


def entries(archive: str) -> Iterator[Entry]:
    """The regular files of a tar file, in its order; `ValueError` where it is none, is packed, or has no end."""
    with open_regular(archive) as file:
        begins = file.peek(8) if isinstance(file, io.BufferedReader) else b""
        if packed := next((name for sign, name in _PACKED.items() if begins.startswith(sign)), ""):
            raise ValueError(f"it is packed by {packed}, and files are read from the middle of it: unpack it to a .tar")
        with tarfile.open(fileobj=file, mode="r:") as tar:
            yield from _entries(tar, file)
            _check_end(file, tar.offset)


def _entries(tar: tarfile.TarFile, file: BinaryIO) -> Iterator[Entry]:
    before, names = -1, set[str]()
    for each in tar:
        if each.size < 0 or each.offset <= before or each.issparse():
            raise ValueError(f"what it says of {each.name!r} leads nowhere")
        if each.isreg():
            if each.name in names:
                raise ValueError(f"it has {each.name!r} twice")
            names.add(each.name)
            yield Entry(each.name, each.offset_data, each.size, _label(file, each))
        before = each.offset


def _label(file: BinaryIO, member: tarfile.TarInfo) -> str:
    if not member.name.lower().endswith(_LABEL):
        return ""
    file.seek(member.offset_data)
    return file.read(min(member.size, _MOST_OF_LABEL)).decode("ascii", errors="replace").strip()


def _check_end(file: BinaryIO, at: int) -> None:
    """Python's reader takes a damaged header for the end: behind the true one there are zeros alone."""
    file.seek(at)
    block = file.read(_BLOCK)
    if len(block) < _BLOCK:
        raise ValueError("it is cut off: the zeros are missing with which a tar file ends")
    while block:
        if block.strip(b"\0"):
            raise ValueError(f"it is damaged at byte {at:,}: what stands there is no header of a file")
        block = file.read(1 << 20)

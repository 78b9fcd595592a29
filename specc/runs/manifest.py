"""Manifests: size and BLAKE2b of every file of a folder. A manifest is written last; with it, the folder is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

from ..system import files

NAME = "manifest.json"
FORMAT_VERSION = 1
_MOST = 1 << 20  # bytes of a manifest: a longer one is none of ours
_PART = 1 << 20
_SEAL = "blake2b"


class Damaged(Exception):
    """A folder is not as it was written; `str(error)` says which file, and in which way."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a manifest says of a file."""

    size: int
    blake2b: str

    @classmethod
    def of(cls, content: bytes) -> Entry:
        """What it has to say of a file that holds this."""
        return cls(len(content), digest(content))


def digest(content: bytes) -> str:
    """The checksum that specc's own files are known by."""
    return blake2b(content, digest_size=32).hexdigest()


def render(entries: Mapping[str, Entry]) -> bytes:
    """The file, to the byte: the same entries make the same file."""
    listed = {name: asdict(entry) for name, entry in sorted(entries.items())}
    return (
        json.dumps(sealed({"format_version": FORMAT_VERSION, "files": listed}), indent=1, allow_nan=False) + "\n"
    ).encode()


def read(folder: Path) -> dict[str, Entry]:
    """What a folder's manifest says; raises `Damaged` where there is none that specc wrote."""
    try:
        text = files.read(folder / NAME, _MOST, follow=False)
        entries = {_plain(name): Entry(**entry) for name, entry in files.mapping(text)["files"].items()}
        as_written = render(entries) == text
    except FileNotFoundError:
        raise Damaged(f"it has no {NAME}, so it was never finished") from None
    except OSError as error:
        raise Damaged(f"{NAME}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        as_written, entries = False, {}
    if not as_written:
        raise Damaged(f"{NAME} is not as it was written")
    return entries


def _plain(name: str) -> str:
    """A file of the folder itself, and no path to elsewhere."""
    if not name or name.startswith(".") or Path(name).name != name:
        raise ValueError(name)
    return name


def check(folder: Path, needed: Iterable[str] = ()) -> None:
    """Raise `Damaged` unless all files are as they were written, and those that are needed among them."""
    entries = read(folder)
    if missing := sorted(set(needed) - set(entries)):
        raise Damaged(f"{NAME} does not list {missing[0]}")
    for name, entry in entries.items():
        with _opened(folder, name) as file:
            _compare_sizes(name, os.fstat(file.fileno()).st_size, entry)
            hashed, size = blake2b(digest_size=32), 0
            while part := file.read(_PART):
                hashed.update(part)
                size += len(part)
        _compare(name, Entry(size, hashed.hexdigest()), entry)


def read_file(folder: Path, name: str, place: str = "") -> bytes:
    """What one file holds, of its own name or at another place; raises `Damaged` where it is not what was written."""
    entries = read(folder)
    if name not in entries:
        raise Damaged(f"{NAME} does not list {name}")
    with _opened(folder, place or name) as file:
        _compare_sizes(name, os.fstat(file.fileno()).st_size, entries[name])  # before a gigabyte is read for nothing
        content = file.read()
    _compare(name, Entry.of(content), entries[name])
    return content


# ---------------------------------------------------------------------------------------------- one document


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON document with the checksum of what it says."""
    return {**document, _SEAL: digest(_canonical(document))}


def unsealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a sealed document says; raises `Damaged` where that is not what was written."""
    said = {key: value for key, value in document.items() if key != _SEAL}
    if document.get(_SEAL) != digest(_canonical(said)):
        raise Damaged("its checksum differs")
    return said


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, allow_nan=False).encode()


def _opened(folder: Path, name: str) -> BinaryIO:
    try:
        return files.open_regular(folder / name, follow=False)
    except FileNotFoundError:
        raise Damaged(f"{name} is missing") from None
    except OSError as error:
        raise Damaged(f"{name}: {error.strerror}") from None


def _compare_sizes(name: str, found: int, expected: Entry) -> None:
    if found != expected.size:
        raise Damaged(f"{name} has {found} bytes instead of {expected.size}")


def _compare(name: str, found: Entry, expected: Entry) -> None:
    _compare_sizes(name, found.size, expected)
    if found != expected:
        raise Damaged(f"{name} is not as it was written: its checksum differs")

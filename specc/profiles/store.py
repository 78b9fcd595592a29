"""Where measured profiles are kept: one JSON file a device and set of versions, in the user's cache directory.

A cache may vanish or hold anything: whatever cannot be read is as if it were not there.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ..system import files
from .model import Profile, parsed
from .places import SUFFIX, folder, in_folder

MOST = 4 << 20  # bytes of a file that is read; no profile comes near


def save(profile: Profile) -> Path:
    """Write a profile in place of an older one of the same name; raises `OSError`."""
    path = folder() / f"{profile.name}{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        temporary.write_text(written(profile), encoding="utf-8")
    return path


def written(profile: Profile) -> str:
    """A profile as its file has it; thousands of numbers, so not one a line."""
    return json.dumps(asdict(profile), separators=(",", ":"), allow_nan=False) + "\n"


def stored() -> tuple[Profile, ...]:
    """Every measured profile that can be read, the newest first."""
    return tuple(sorted(filter(None, map(_read, in_folder(folder()))), key=lambda found: found.date, reverse=True))


def _read(path: Path) -> Profile | None:
    try:
        return parsed(files.read(path, MOST))
    except (OSError, ValueError):
        return None

"""Where margins are kept: one small JSON file a device and set of versions, in the user's cache directory.

A cache may vanish or hold anything: whatever cannot be read is as if it were not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ..system import files
from ..system.environment import cache_folder
from .calibration import Calibration

_MOST = 1 << 20  # bytes of a file that is read; no calibration comes near


def folder() -> Path:
    """Where the files are."""
    return cache_folder() / "margins"


def save(calibration: Calibration) -> Path:
    """Write a calibration in place of an older one of the same device and versions; raises `OSError`."""
    path = folder() / f"{_slug(calibration)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        temporary.write_text(json.dumps(asdict(calibration), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return path


def _slug(calibration: Calibration) -> str:
    return re.sub(r"[^a-z0-9.+]+", "-", f"{calibration.device} {calibration.versions}".lower()).strip("-.")[:200]


def stored() -> tuple[Calibration, ...]:
    """Every calibration that can be read, the newest first."""
    try:
        paths = sorted(path for path in folder().iterdir() if path.suffix == ".json" and path.is_file())
    except OSError:
        return ()
    return tuple(sorted(filter(None, map(_read, paths)), key=lambda found: found.date, reverse=True))


def _read(path: Path) -> Calibration | None:
    try:
        return _adapter().validate_json(files.read(path, _MOST))
    except (OSError, ValueError):
        return None


@cache
def _adapter() -> TypeAdapter[Calibration]:
    return TypeAdapter(Calibration)


def current() -> tuple[Calibration, ...]:
    """The newest calibration of every GPU under the torch that is installed, which is found without importing it."""
    installed = _installed()
    newest: dict[str, Calibration] = {}
    for found in stored():
        if found.kind == "cuda" and _public(found.torch) == installed:
            newest.setdefault(found.device, found)
    return tuple(newest.values())


def matching(identity: Mapping[str, Any]) -> Calibration | None:
    """The newest calibration of exactly this device under exactly these versions (`runtime.engine.device.identity`)."""
    return next((c for c in stored() if all(getattr(c, key) == value for key, value in identity.items())), None)


def newest() -> Calibration | None:
    """The newest calibration of a GPU, whatever it was made with."""
    return next((found for found in stored() if found.kind == "cuda"), None)


def _installed() -> str:
    try:
        return _public(version("torch"))
    except PackageNotFoundError:
        return ""


def _public(version: str) -> str:
    """Without the build: packages leave `+cu128` out of their metadata or not."""
    return version.partition("+")[0]

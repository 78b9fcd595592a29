"""`specc doctor --calibrate` on the device: its margin. What it keeps is in the part's file, so that it can go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import documents

if TYPE_CHECKING:
    from .work import Work


def run(work: Work) -> None:
    """One row for each plan that was measured, and the files that it left in the cache."""
    command = [sys.executable, "-P", "-m", "specc", "doctor", "--calibrate", "--device", str(work.device)]
    done = subprocess.run([*command, "--format", "json"], stdout=subprocess.PIPE, text=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    for sample in said["margin"]["samples"]:
        more = sample["allocated_bytes"] / sample["predicted_bytes"] - 1
        work.row(**sample, said=f"{more:+.1%} of what was predicted")
    work.facts(margin=said["margin"], files=kept(Path(os.environ["SPECC_CACHE"])))


def kept(cache: Path) -> dict[str, Any]:
    """The calibrations of a cache, by their paths in it."""
    paths = (path for room in cache.iterdir() if room.name == ROOM for path in room.rglob("*.json"))
    return {path.relative_to(cache).as_posix(): json.loads(path.read_text(encoding="utf-8")) for path in sorted(paths)}


ROOM = "profiles"


def restore(folder: Path, cache: Path) -> None:
    """Put what an earlier calibration kept into a cache; nothing outside of its room is written."""
    found = documents.read(folder, "calibration") or {}
    for name, content in found.get("facts", {}).get("files", {}).items():
        path = Path(name)
        if path.is_absolute() or ".." in path.parts or path.parts[0] != ROOM:
            continue
        (cache / path).parent.mkdir(parents=True, exist_ok=True)
        (cache / path).write_text(json.dumps(content, allow_nan=False), encoding="utf-8")

"""The file of a part: where it was measured, how it ended, and its figures, a row a case."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Document = dict[str, Any]

FORMAT_VERSION = 1
DONE, UNFINISHED, FAILED = "done", "unfinished", "failed"
MACHINE = ("kind", "device", "driver", "torch", "cuda", "cudnn")  # what figures hold for


def path_of(folder: Path, part: str) -> Path:
    """Where the file of a part is."""
    return folder / f"{part}.json"


def read(folder: Path, part: str) -> Document | None:
    """The document of a part; None where there is none that can be read."""
    try:
        found = json.loads(path_of(folder, part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format_version") == FORMAT_VERSION else None


def write(folder: Path, document: Document) -> None:
    """In place of the older one, all at once: whoever is ended in the middle leaves what was there."""
    path = path_of(folder, document["part"])
    folder.mkdir(parents=True, exist_ok=True)
    own = path.with_suffix(f".{os.getpid()}.tmp")
    own.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(own, path)


def begun(part: str, machine: Document, command: str, date: str) -> Document:
    """A document without figures."""
    return {
        "format_version": FORMAT_VERSION, "part": part, "machine": machine, "command": command, "date": date,
        "status": UNFINISHED, "error": None, "said": "", "seconds": 0.0, "facts": {}, "rows": [],
    }  # fmt: skip


def same_machine(document: Document, machine: Document) -> bool:
    """Whether the figures of a document are of this machine."""
    return all(document["machine"].get(key) == machine.get(key) for key in MACHINE)

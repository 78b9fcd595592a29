"""Traced graphs in the user's cache directory, so that a model is traced once and planned without torch ever after."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...system import files
from ...system.cache import directory
from ..graph import BackboneGraph
from ..ops import Shape

FORMAT_VERSION = 5  # of the traced graph: raise it when the same model gives another one


@dataclass(frozen=True, slots=True)
class Key:
    """Everything that decides the graph."""

    model: str
    image: Shape
    classes: int
    torchvision: str
    torch: str
    format_version: int = FORMAT_VERSION

    @property
    def path(self) -> Path:
        """Where the graph is kept."""
        digest = hashlib.sha256(json.dumps(asdict(self), allow_nan=False).encode()).hexdigest()
        safe = "".join(c for c in self.model if c.isalnum() or c == "_")
        return directory() / "torchvision" / f"{safe[:40]}-{digest[:16]}.json"


def key(model: str, image: Shape, classes: int) -> Key:
    """The key for what is installed, read without importing it."""
    return Key(model, image, classes, _installed("torchvision"), _installed("torch"))


def load(key: Key) -> BackboneGraph | None:
    """The graph of a key; None where there is none or the file is damaged."""
    from ...plan.serial import from_plain

    try:
        document = json.loads(files.read(key.path))
        return from_plain(BackboneGraph, document["graph"]) if document["key"] == _plain(key) else None
    except Exception:  # whatever is wrong with the file, the model can be traced again
        return None


def save(key: Key, graph: BackboneGraph) -> None:
    """Keep a graph, in one go; a cache that cannot be written is no error."""
    from ...plan.serial import to_plain

    text = json.dumps({"key": _plain(key), "graph": to_plain(graph)}, allow_nan=False)
    try:
        key.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=key.path.parent, delete=False, encoding="utf-8") as file:
            file.write(text)
        os.replace(file.name, key.path)
    except OSError:
        return


def _plain(key: Key) -> object:
    return json.loads(json.dumps(asdict(key), allow_nan=False))


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"

"""Traced graphs in the user's cache directory, so that a model is traced once and planned without torch ever after."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import TypeAdapter

from ...system import files
from ...system.environment import cache_folder
from ..graph import BackboneGraph, Graph
from ..ops.source import PACKAGES, Source
from ..sound import faults

FORMAT_VERSION = 14  # of the traced graph: raise it when the same model gives another one


@dataclass(frozen=True, slots=True)
class Key:
    """Everything that decides the graph."""

    source: Source
    packages: Mapping[str, str]  # with their versions
    format_version: int = FORMAT_VERSION

    @property
    def path(self) -> Path:
        """Where the graph is kept."""
        digest = hashlib.sha256(json.dumps(asdict(self), allow_nan=False).encode()).hexdigest()
        safe = "".join(c for c in self.source.name if c.isalnum() or c == "_")
        return cache_folder() / self.source.kind / f"{safe[-40:]}-{digest[:16]}.json"


def key(source: Source) -> Key:
    """The key for what is installed, read without importing it."""
    return Key(source, {package: _installed(package) for package in (*PACKAGES[source.kind], "torch")})


@dataclass(frozen=True, slots=True)
class Kept:
    """What a file holds."""

    key: Key
    graph: BackboneGraph


_MOST = 1 << 27  # bytes of a file that is read: the largest models take a few million


@cache
def _file() -> TypeAdapter[Kept]:
    return TypeAdapter(Kept)


def load(key: Key) -> BackboneGraph | None:
    """The graph of a key; None where there is none, the file is damaged, or somebody else's.

    That it is what the network has is seen where torch is there anyway (`runtime.engine.traced`).
    """
    try:
        kept = _file().validate_json(files.read_whole(key.path, _MOST, own=True))
        whole, source = Graph(kept.graph.input, tuple(kept.graph.nodes)), key.source
        given = (kept.graph.input, kept.graph.dtype) == (source.image, source.dtype)
        sound = given and next(faults(whole, source.image), None) is None
    except Exception:  # whatever is wrong with the file, the model can be traced again
        return None
    return kept.graph if kept.key == key and sound else None


def save(key: Key, graph: BackboneGraph) -> None:
    """Keep a graph, in one go; a cache that cannot be written is no error."""
    text = _file().dump_json(Kept(key, graph))
    try:
        key.path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(key.path) as temporary:
            temporary.write_bytes(text)
    except OSError:
        return


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"

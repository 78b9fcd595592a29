"""Which networks are surveyed: the lists beside this file, and the sizes of images that are tried for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SIZES = (64, 128)  # of an image, before the network's own


@dataclass(frozen=True)
class Subject:
    """A network of a library, by the name that it has there."""

    kind: str  # timm or transformers
    name: str
    args: dict[str, Any]
    size: int  # of its own images, or how many tokens its texts have
    vocabulary: int = 0  # of texts

    @property
    def key(self) -> str:
        """What it is called in the results."""
        return f"{self.kind}:{self.name}"

    @property
    def backbone(self) -> dict[str, Any]:
        """What a spec says of it."""
        return {self.kind: self.name, "args": self.args}

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of images that are tried, from the cheapest on; of texts the one length."""
        if self.vocabulary:
            return (self.size,)
        return (*(size for size in SIZES if size < self.size), self.size)


def timm() -> list[Subject]:
    """The 120 of timm: a name and the size of its images a line.

    Of every module of timm the name with the fewest parameters; then of those modules that have the most names
    the smallest of another kind, by the word that it begins with, until there are 120.
    """
    lines = (HERE / "timm.txt").read_text().splitlines()
    return [Subject("timm", name, {}, int(size)) for name, size in map(str.split, lines)]


def transformers() -> list[Subject]:
    """Those of transformers: types of models with the arguments that make them small.

    18 classify images, 12 classify texts. The latter are types that people train for that, chosen before any of them
    was looked at; what does not come through stays in the list.
    """
    entries = json.loads((HERE / "transformers.json").read_text())
    return [
        Subject("transformers", e["type"], e["args"], e.get("length") or e["size"], e.get("vocabulary", 0))
        for e in entries
    ]


def subjects() -> list[Subject]:
    """All of them."""
    return timm() + transformers()

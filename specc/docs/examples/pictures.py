"""The pictures of pages: as a page's commands draw them, and the same on dark paper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...pictures.palette import BY_LIGHT

COLOUR = re.compile(r"#[0-9a-f]{6}\b")


def dark(picture: str) -> str:
    """A picture's SVG on dark paper: every colour is a role, and a role has a value for it.

    >>> dark("fill: #ffffff; stroke: #0a5fb4")
    'fill: #14181d; stroke: #6fb2f8'
    """
    return COLOUR.sub(lambda found: BY_LIGHT[found[0]].dark if found[0] in BY_LIGHT else found[0], picture)


def made(folder: Path, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The pictures that a page's commands have left in its folder, of those that it shows: names and text."""
    for name in names:
        drawn = folder / name.replace(".dark.svg", ".svg")
        if drawn.exists():
            text = drawn.read_text(encoding="utf-8")
            yield name, dark(text) if name.endswith(".dark.svg") else text


def words(picture: str) -> list[str]:
    """What a picture says; where exactly it stands depends on the version of matplotlib."""
    return re.findall(r">([^<>]*[^<>\s][^<>]*)</(?:text|tspan|title|desc)", picture)

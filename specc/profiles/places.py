"""Where profiles lie: the sheets that come with specc, and the user's cache. No file is opened, and no model loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..system.environment import cache_folder

SHEETS = Path(__file__).with_name("sheets")
SUFFIX = ".json"


def folder() -> Path:
    """Of those that were measured here."""
    return cache_folder() / "profiles"


def in_folder(where: Path) -> Iterator[Path]:
    """The files that may be profiles, by name."""
    try:
        yield from sorted(path for path in where.iterdir() if path.suffix == SUFFIX and path.is_file())
    except OSError:
        return


def names() -> list[str]:
    """All that can be named: what was measured here, then the sheets."""
    return [path.stem for where in (folder(), SHEETS) for path in in_folder(where)]

"""Places in plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Path = tuple[Any, ...]


def walk(data: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of everything inside of a value."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for part, child in items:
        yield (*path, part)
        yield from walk(child, (*path, part))


def at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def put(data: Any, path: Path, value: Any) -> None:
    at(data, path[:-1])[path[-1]] = value

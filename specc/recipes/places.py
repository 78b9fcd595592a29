"""Where the recipes lie, and what they are called; none of them is read.

A wheel holds them beside this file. In a checkout they lie in `specs/`, where everybody reads and changes them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_BESIDE = Path(__file__).parent


@cache
def folder() -> Path:
    """Where the recipes lie."""
    packed = _BESIDE / "quickstart.yaml"
    return _BESIDE if packed.is_file() else _BESIDE.parents[1] / "specs"


@cache
def names() -> tuple[str, ...]:
    """What the recipes are called."""
    return tuple(sorted(path.stem for path in folder().glob("*.yaml")))

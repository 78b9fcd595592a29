"""Data that are handed over from Python, for as long as what is called with them lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ..errors import DataError
from .sets import Sets, sets_of

_NOW: ContextVar[Sets | None] = ContextVar("handed", default=None)
MAKER = "handed over"


@contextmanager
def handing(data: Any) -> Iterator[Sets | None]:
    """While entered, `dataset: given` is these data; `DataError` where they are none. Nothing is handed with None."""
    sets = None if data is None else sets_of(data, MAKER)
    token = _NOW.set(sets)
    try:
        yield sets
    finally:
        _NOW.reset(token)


def handed() -> Sets:
    """What was handed over; `DataError` where nothing was."""
    found = _NOW.get()
    if found is None:
        help = ["the run was begun from Python: `runtime.train`, `runtime.resume` and `Session` are given `data=`"]
        raise DataError("the data are handed over from Python, and nobody does", help)
    return found

"""What the suite runs of something and what it leaves to `make full`, and what must not take for ever."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet


def partly(values: Iterable[Any], full: Iterable[Any]) -> list[ParameterSet]:
    """All the values, those in `full` marked so: they take long, and others show the same."""
    rest = set(full)
    found = [
        pytest.param(value, id=getattr(value, "stem", str(value)), marks=[pytest.mark.full] if value in rest else [])
        for value in values
    ]
    assert sum(bool(param.marks) for param in found) == len(rest), "each is one of the values"
    return found


@contextmanager
def ends() -> Iterator[None]:
    """No measurement of speed: what takes a second where it is linear, and minutes where it is not, is linear."""
    began = time.process_time()
    yield
    assert time.process_time() - began < 30

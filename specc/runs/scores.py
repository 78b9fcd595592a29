"""How good a run's network is, as far as it has come: the task's first metric, by the word of the files alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .metrics import HALVES, Row, history
from .record import RunRecord


@dataclass(frozen=True, slots=True)
class Score:
    """A metric, and of which half of the data."""

    metric: str
    value: float
    half: str


def score(record: RunRecord) -> Score | None:
    """Of the whole at the end, or after the last epoch that is done."""
    found = _first({"test": record.said.test, "validation": record.said.validation})
    return found or latest(record.metrics)


def latest(rows: Sequence[Row]) -> Score | None:
    """After the last epoch that is done."""
    return _first(history(rows[-1:])[0]) if rows else None


def _first(halves: Mapping[str, Mapping[str, float | None]]) -> Score | None:
    """The first metric of the first half that was looked at: a task names them in order of their worth."""
    for half in HALVES.values():
        for metric, value in halves[half].items():
            return None if value is None else Score(metric, value, half)
    return None

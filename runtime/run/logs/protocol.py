"""What a log is told, and what it has to know how to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """A run, as a log is told of it before anything else."""

    name: str  # of the spec
    directory: Path  # of the run
    folder: Path  # for the log's own files; it may not be there yet
    spec: str  # with every default, as YAML
    config: Mapping[str, Any]  # the same as a mapping
    fingerprint: str  # of the plan
    device: str
    id: str = ""  # what `begin` gave when the run was begun; empty then
    epochs: int = 0  # that this log has


class Logger(Protocol):
    """Writes the figures of a run somewhere; whatever it raises ends it and not the run.

    Figures have names such as `train/accuracy`, `test/unit0.independent.accuracy`, `lr`.
    """

    def begin(self, run: LoggedRun) -> str:
        """Open it, anew or where it was left; gives the name by which it finds that again."""

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """An epoch (from 1), once and in order; it is kept when this returns."""

    def end(self, status: str, figures: Mapping[str, float]) -> None:
        """The run is `completed`, `interrupted` or `failed`; with what it is worth, if it is known."""

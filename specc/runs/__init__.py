"""Run directories as data: what they say of themselves, whatever state they are in. Nothing is run or written here."""

from __future__ import annotations

from .finding import find_runs
from .record import RunRecord, Status, read_run

__all__ = ["RunRecord", "Status", "find_runs", "read_run"]

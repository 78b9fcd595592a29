"""Run directories as people and machines read them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..language.schema import show_bytes
from ..runs import RunRecord
from ..runs.scores import Score, score
from . import Column, Table, table
from .durations import show_age

FORMAT_VERSION = 1


def runs_table(records: Sequence[RunRecord], root: Path, now: float) -> Table:
    """One row a run."""
    left = (Column("run", shortens="middle", least=12, heads=True), "status")
    right = (Column("score", right=True, brief=_brief), "epochs", "peak", "age")
    return table(None, left, right, [_row(record, root, now) for record in records])


def _brief(score: str) -> str:
    """The figure alone."""
    return score.rpartition(" ")[2]


def _row(record: RunRecord, root: Path, now: float) -> list[str]:
    peak = record.said.memory.measured_peak_bytes
    planned = record.epochs_planned
    done = score(record)
    return [
        os.path.relpath(record.path, root) if record.path != root else str(record.path),
        str(record.status),
        show_score(done) if done else "–",
        f"{record.epochs_done}/{planned}" if planned else str(record.epochs_done),
        show_bytes(peak) if peak else "–",
        show_age(now - record.changed) if record.changed else "–",
    ]


def show_score(found: Score) -> str:
    """``test accuracy 81.20%``."""
    value = f"{found.value:.4f}" if found.metric == "loss" else f"{found.value:.2%}"
    return f"{found.half} {found.metric.replace('_', ' ')} {value}"


def runs_lines(records: Sequence[RunRecord]) -> Iterator[str]:
    """What is wrong with them, who trains, and how those go on that may."""
    for record in records:
        yield from (f"{record.path}: {remark}" for remark in record.remarks)
        if record.said.cause and record.status == "failed":
            yield f"{record.path}: failed: {record.said.cause}"
        if record.owner:
            yield f"{record.path}: trained by {record.owner}"
    if commands := [record.resume_command for record in records if record.resume_command]:
        yield f"{len(commands)} may go on:" if len(commands) > 1 else "one may go on:"
        yield from (f"  {command}" for command in commands)


def runs_document(records: Sequence[RunRecord], now: float) -> dict[str, Any]:
    """All of it for machines."""
    return {"format_version": FORMAT_VERSION, "runs": [run_document(record, now) for record in records]}


def run_document(record: RunRecord, now: float) -> dict[str, Any]:
    """One run."""
    said, found = record.said, score(record)
    return {
        "run_dir": str(record.path),
        "name": record.name,
        "status": str(record.status),
        "seed": said.seed,
        "metric": found.metric if found else None,
        "on": found.half if found else None,
        "value": found.value if found else None,
        "epochs": record.epochs_done,
        "epochs_planned": record.epochs_planned,
        "predicted_peak_bytes": said.memory.predicted_peak_bytes or None,
        "measured_peak_bytes": said.memory.measured_peak_bytes or None,
        "step_seconds": said.step_seconds_median or None,
        "wall_seconds": said.wall_seconds,
        "device": said.device or None,
        "changed": datetime.fromtimestamp(record.changed, UTC).isoformat(timespec="seconds"),
        "age_seconds": max(0, round(now - record.changed)),
        "cause": said.cause,
        "resume": record.resume_command,
        "remarks": list(record.remarks),
    }

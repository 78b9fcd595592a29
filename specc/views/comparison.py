"""What came of training several specs, as people and machines read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..comparing.jobs import Standing
from ..comparing.results import Row, Spread, remarks
from ..language.schema import show_bytes
from ..plan.flops import step_flops
from ..plan.parameters import parameter_counts
from ..runs import Status
from . import Column, Table, table
from .durations import show_seconds

FORMAT_VERSION = 1
_NONE = "–"


def comparison_table(rows: Sequence[Row]) -> Table:
    """One row a spec."""
    left = (Column("spec", shortens="middle", least=12, heads=True), Column("runs"))
    right = (
        Column(_score_head(rows), right=True), Column("units, %", shortens="items", stacks=1),
        "predicted", "measured", "step", "total", "extra FLOPs",
    )  # fmt: skip
    return table(None, left, right, [_row(row) for row in rows])


def _score_head(rows: Sequence[Row]) -> str:
    """``test accuracy, %``; of different tasks nothing that they have in common."""
    found = {(each.half, each.metric) for row in rows for each in row.scores}
    half, metric = found.pop() if len(found) == 1 else ("", "score")
    return f"{half} {metric.replace('_', ' ')}, %".strip()


def _row(row: Row) -> list[str]:
    step, total, extra = row.step_seconds, row.wall_seconds, row.relative_flops - 1
    return [
        row.label,
        _runs(row),
        show_spread(row.accuracy) if row.accuracy else _NONE,
        ", ".join(f"{100 * unit.mean:.1f}" for unit in row.units.values()) if len(row.units) > 1 else _NONE,
        show_bytes(row.predicted_bytes),
        show_bytes(row.measured_bytes) if row.measured_bytes else _NONE,
        f"{step.mean * 1e3:.1f} ms" if step else _NONE,
        show_seconds(total.mean) if total else _NONE,
        f"{extra:+.0%}" if round(extra, 2) else "0%",
    ]


def _runs(row: Row) -> str:
    """How many there are, and what has become of the others."""
    done, all = len(row.completed), len(row.standings)
    others = [str(each.status or ("failed" if each.cause else "not begun")) for each in row.standings]
    told = ", ".join(f"{others.count(name)} {name}" for name in dict.fromkeys(others) if name != Status.COMPLETED)
    return str(done) if done == all else f"{done} of {all}: {told}"


def show_spread(spread: Spread) -> str:
    """``81.20 ± 0.35``, parts of a hundred."""
    return f"{100 * spread.mean:.2f}" + (f" ± {100 * spread.deviation:.2f}" if spread.deviation is not None else "")


def comparison_lines(rows: Sequence[Row]) -> Iterator[str]:
    """What the figures are, which runs have none and why, and what to know of them all."""
    if any(len(row.completed) > 1 for row in rows):
        yield "mean ± sample standard deviation over seeds; the most that was measured, means of step and total"
    for each in (each for row in rows for each in row.standings):
        yield from _trouble(each)
    yield from (f"note: {remark}" for remark in remarks(rows))


def _trouble(each: Standing) -> Iterator[str]:
    record = each.record
    if record is None:
        yield f"{each.job}: " + (f"failed: {each.cause}" if each.cause else "not begun")
    elif record.status is Status.RUNNING:
        yield f"{each.job}: trained by {record.owner or 'another process'} in {record.path}"
    elif record.status is not Status.COMPLETED:
        cause = each.cause or (record.said.cause if record.status is Status.FAILED else None)
        yield f"{each.job}: {record.status}" + (f": {cause}" if cause else "")
        if record.resume_command:
            yield f"  goes on with: {record.resume_command}"


def comparison_document(rows: Sequence[Row]) -> dict[str, Any]:
    """All of it for machines."""
    return {
        "format_version": FORMAT_VERSION,
        "rows": [row_document(row) for row in rows],
        "runs": [_run(row, each) for row in rows for each in row.standings],
        "remarks": list(remarks(rows)),
    }


def row_document(row: Row) -> dict[str, Any]:
    """One spec; without figures where none of its runs is complete."""
    scores, found = row.scores, row.accuracy
    step, wall = row.step_seconds, row.wall_seconds
    return {
        "name": row.label,
        "spec": str(row.spec),
        "runs": len(row.standings),
        "completed": len(row.completed),
        "metric": scores[0].metric if scores else None,
        "on": scores[0].half if scores else None,
        "mean": found.mean if found else None,
        "standard_deviation": found.deviation if found else None,
        "values": list(found.values) if found else [],
        "seeds": [record.said.seed for record in row.completed],
        "units": {name: unit.mean for name, unit in row.units.items()},
        "blocks": len(row.plan.blocks),
        "batch_size": row.plan.config.data.batch_size,
        "epochs": row.plan.config.train.epochs,
        "parameters": sum(parameter_counts(row.plan).values()),
        "predicted_peak_bytes": row.predicted_bytes,
        "measured_peak_bytes": row.measured_bytes,
        "step_seconds": step.mean if step else None,
        "wall_seconds": wall.mean if wall else None,
        "flops_per_image": step_flops(row.plan),
        "relative_flops": row.relative_flops,
    }


def _run(row: Row, each: Standing) -> dict[str, Any]:
    record = each.record
    return {
        "name": row.label,
        "spec": str(row.spec),
        "seed": each.job.seed,
        "status": str(each.status) if each.status else None,
        "run_dir": str(record.path) if record else None,
        "cause": each.cause or (record.said.cause if record else None),
        "test": record.said.test if record else {},
        "validation": record.said.validation if record else {},
        "wall_seconds": record.said.wall_seconds if record else None,
        "device": record.said.device or None if record else None,
        "resume": record.resume_command if record else None,
    }

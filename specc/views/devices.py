"""What each of several devices does and takes, beside a plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..language.schema import show_bytes
from ..layout.peaks import ranks_of
from ..layout.timed import Rank, ranks_on
from ..layout.volume import Volume, volumes
from ..plan import Plan
from ..profiles import Profile
from . import Column, Table, table
from .step_time import seconds_shown

SHOWN = 64  # ranks of a table; of more those of the first copy


def ranks_timed(plan: Plan, profile: Profile | None) -> tuple[Rank, ...]:
    """All ranks of a plan for several devices; none of one for a single device."""
    found = ranks_of(plan, profile) if plan.config.devices.count > 1 else None
    return () if found is None else ranks_on(found, profile)


def devices_parts(ranks: Sequence[Rank]) -> Iterator[Table | str]:
    """The table of ranks, where there are several."""
    if not ranks:
        return
    yield _table(ranks)
    layout = ranks[0].plan.layout
    assert layout is not None
    if len(ranks) > SHOWN:
        one = ranks[0].plan.config.learns.one
        yield f"{layout.copies} copies of these {len(layout.stages)} stages, which differ by {one} at most"
    if ranks[0].seconds:
        yield "work is what a rank computes in a step; what it waits for is simulated by --devices and --bandwidth"


def _table(ranks: Sequence[Rank]) -> Table:
    devices = ranks[0].plan.config.devices
    title = f"{devices.count} devices: {devices.data_parallel} copies of {devices.block_parallel} stages"
    left = (Column("rank", heads=True), "copy", "stage", "blocks", Column("units", wraps=True, shortens="items"))
    right = ("peak", "sent", "received", *(("work",) if ranks[0].seconds else ()))
    moved = volumes(ranks)
    shown = range(len(ranks) if len(ranks) <= SHOWN else devices.block_parallel)
    return table(title, left, right, (_row(number, ranks[number], moved[number]) for number in shown))


def _row(number: int, rank: Rank, moved: Volume) -> Iterator[str]:
    plan, layout = rank.plan, rank.plan.layout
    assert layout is not None
    first, last = plan.blocks[0].index, plan.blocks[-1].index
    yield from (str(number), str(layout.copy), str(layout.stage))
    yield str(first) if first == last else f"{first}-{last}"
    yield ", ".join(unit.name for unit in plan.units) or "–"
    yield show_bytes(plan.memory.peak_bytes)
    yield show_bytes(moved.sent)
    yield show_bytes(moved.received)
    if rank.seconds:
        yield seconds_shown(sum(rank.seconds))


def devices_document(ranks: Sequence[Rank]) -> dict[str, Any] | None:
    """The same for machines; null for one device."""
    if not ranks:
        return None
    devices, layout = ranks[0].plan.config.devices, ranks[0].plan.layout
    assert layout is not None
    moved = volumes(ranks)
    return {
        "data_parallel": devices.data_parallel, "block_parallel": devices.block_parallel, "mode": devices.mode,
        "first_blocks": list(layout.stages),
        "predicted_peak_bytes": max(rank.plan.memory.peak_bytes for rank in ranks),
        "ranks": [_document(number, rank, moved[number]) for number, rank in enumerate(ranks)],
    }  # fmt: skip


def _document(number: int, rank: Rank, moved: Volume) -> dict[str, Any]:
    plan, layout = rank.plan, rank.plan.layout
    assert layout is not None
    return {
        "rank": number, "copy": layout.copy, "stage": layout.stage, "samples": plan.batch,
        "blocks": [block.index for block in plan.blocks], "units": [unit.name for unit in plan.units],
        "predicted_peak_bytes": plan.memory.peak_bytes, "sent_bytes": round(moved.sent),
        "received_bytes": round(moved.received), "work_seconds": sum(rank.seconds) if rank.seconds else None,
    }  # fmt: skip

"""Tables and documents of `specc plan --devices`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..language.schema import show_bytes
from . import Column, Table, table
from .step_time import rate_shown, seconds_shown

if TYPE_CHECKING:
    from ..fit.layouts import Layouts, Row


def layouts_table(found: Layouts) -> Table:
    """One row a layout, with a mark on the Pareto front of memory and time."""
    title = f"{found.count} devices, each {found.profile.device}" if found.count > 1 else found.profile.device
    left = (Column("layout", heads=True, wraps=True, prose=True), Column("changes", wraps=True, stacks=1))
    right = (
        Column("slices", right=True, stacks=2), "peak", Column("sent", right=True), "step",
        Column(f"{found.samples}/s", right=True, stacks=3), Column("idle", right=True, stacks=2),
        *(("fits",) if found.budget is not None else ()), Column("best"),
    )  # fmt: skip
    return table(title, left, right, (_row(row) for row in found.rows))


def _row(row: Row) -> Iterator[str]:
    yield row.name
    yield ", ".join(row.changes) or "nothing"
    yield str(row.slices)
    yield show_bytes(row.peak)
    yield show_bytes(row.sent)
    yield seconds_shown(row.seconds)
    yield rate_shown(row.images_per_second)
    yield f"{row.idle:.0%}"
    if row.fits is not None:
        yield "yes" if row.fits else "no"
    yield "*" * row.pareto


def layouts_lines(found: Layouts) -> Iterator[str]:
    """What to know of the table."""
    yield "* no other has both less memory and less time; peak and bytes sent are of the device that has most of them"
    links, source = found.links, found.profile.source
    yield (f"steps are simulated: work as predicted for {found.profile.device} ({source}), messages at "
           f"{links.bandwidth / 1e9:.4g} GB/s after {seconds_shown(links.latency)}")  # fmt: skip
    if any(row.bubble is not None for row in found.rows):
        yield ("of equal stages GPipe and 1F1B leave (p - 1) / (m + p - 1) of a step idle, with p stages and m slices; "
               "GPipe keeps the activations of m slices, stage s of 1F1B those of p - s")  # fmt: skip
    if any(row.offload for row in found.rows):
        yield (f"offloaded: parameters and optimizer state on the host, which {found.profile.device} is "
               f"{found.profile.from_the_host / 1e9:.4g} GB/s from each way, and which makes steps at "
               f"{found.profile.of_the_host / 1e9:.4g} GB/s")  # fmt: skip
    yield from (f"left out: {why}" for why in found.left_out)


def layouts_document(found: Layouts) -> dict[str, Any]:
    """The table for machines."""
    return {
        "format_version": 1,
        "devices": found.count,
        "device_profile": found.profile.name,
        "source": found.profile.source.replace(" ", "_"),
        "bandwidth": found.links.bandwidth,
        "latency_seconds": found.links.latency,
        "budget_bytes": found.budget,
        "rows": [_document(row) for row in found.rows],
        "left_out": list(found.left_out),
    }


def _document(row: Row) -> dict[str, Any]:
    return {
        "name": row.name, "local": row.local, "overrides": list(row.overrides) or None,
        "data_parallel": row.devices.data_parallel, "block_parallel": row.devices.block_parallel,
        "mode": row.devices.mode, "shard": row.devices.shard, "offload": list(row.offload), "slices": row.slices,
        "predicted_peak_bytes": row.peak, "activation_bytes": row.activations,
        "sent_bytes": round(row.sent), "sent_bytes_of_all": round(row.total),
        "step_seconds": row.seconds, "images_per_second": row.images_per_second, "idle": row.idle,
        "bubble": row.bubble, "changes": list(row.changes), "fits": row.fits, "pareto": row.pareto,
    }  # fmt: skip

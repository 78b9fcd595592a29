"""Tables and documents of `specc fit --rivals`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..fit.verdict import called, listed, verdict, way
from ..language.schema import show_bytes
from . import Column, Table, table
from .step_time import rate_shown, seconds_shown

if TYPE_CHECKING:
    from ..fit.rivals import Rival, Rivals
    from ..profiles import Profile
    from ..system.devices import Device


def rivals_table(found: Rivals, device: Device) -> Table:
    """One row a way to train the network, with a mark on the Pareto front of peak and time."""
    on = found.profile.device if found.profile else "a CPU" if device == "cpu" else "CUDA"
    left = (Column("way to train", heads=True, wraps=True, prose=True), Column("changes", wraps=True, stacks=1))
    time = ("step", Column(f"{found.plain.config.samples}/s", right=True, stacks=3), "time ×") if found.profile else ()
    right = ("peak", *time, Column("FLOPs", right=True, stacks=2), "fits", Column("best"))
    rows = (_row(number, rival, timed=found.profile is not None) for number, rival in enumerate(found.rows, 1))
    return table(f"rivals under a budget of {show_bytes(found.budget)} on {on}", ("#", *left), right, rows)


def _row(number: int, rival: Rival, *, timed: bool) -> tuple[str, ...]:
    each = rival.candidate
    time = (
        (seconds_shown(each.seconds or 0), rate_shown(each.images_per_second or 0), f"{rival.ratio:.2f}×")
        if timed
        else ()
    )
    return (
        str(number), way(rival), ", ".join(rival.changes) or "nothing", show_bytes(each.peak), *time,
        f"{rival.extra:+.0%}", "yes" if rival.fits else "no", "*" * rival.pareto,
    )  # fmt: skip


def rivals_lines(found: Rivals) -> Iterator[str]:
    """What to know of the table, and who wins."""
    yield "* no other has both less memory and less time"
    for each in found.left_out:
        yield f"{called(each.method)} cannot stand on this network: {each.why}"
    yield from _limits(found)
    if found.profile is not None:
        yield source(found.profile)
    yield (text := verdict(found))[:1].upper() + text[1:]


def _limits(found: Rivals) -> Iterator[str]:
    """Where a better configuration may not have been looked at."""
    if found.equal_parts:
        yield f"{listed(found.equal_parts)}: cut into parts that keep equally much; of so many places none are searched"
    if found.all_or_nothing:
        yield f"{listed(found.all_or_nothing)}: with all recomputation or none; what lies between takes long to search"


def source(profile: Profile) -> str:
    """Where the seconds are from."""
    return f"times are predicted for {profile.device}: {profile.source}"


def rivals_document(found: Rivals, device: Device) -> dict[str, Any]:
    """The table for machines."""
    chosen, wins = found.chosen, found.wins
    return {
        "format_version": 3,
        "budget_bytes": found.budget,
        "device": device,
        "device_profile": found.profile.name if found.profile else None,
        "source": found.profile.source if found.profile else None,
        "rows": [_document(number, rival) for number, rival in enumerate(found.rows, 1)],
        "chosen": chosen.name if chosen else None,
        "local_wins": {"lowest_bytes": wins.lowest, "highest_bytes": wins.highest} if wins else None,
        "left_out": [{"method": each.method, "why": each.why} for each in found.left_out],
        "equal_parts": list(found.equal_parts),
        "all_or_nothing": list(found.all_or_nothing),
        "verdict": verdict(found),
    }


def _document(number: int, rival: Rival) -> dict[str, Any]:
    each = rival.candidate
    return {
        "number": number, "name": rival.name, "method": rival.method, "local": rival.local, "blocks": each.blocks,
        "after": list(each.after), "settings": list(rival.turned), "changes": list(rival.changes),
        "predicted_peak_bytes": each.peak, "step_seconds": each.seconds, "images_per_second": each.images_per_second,
        "flops_per_image": each.found.flops, "relative_time": rival.ratio, "extra_flops": rival.extra,
        "fits": rival.fits, "pareto": rival.pareto,
    }  # fmt: skip

"""Tables and documents of `specc fit` and `specc compare`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..language.schema import show_bytes
from ..plan.flops import step_flops
from ..spec.knobs import in_a_name, turned
from ..timing import StepTime
from . import Column, Table, table
from .step_time import measured_document, rate_shown, seconds_shown, time_document

LONG = 60

if TYPE_CHECKING:
    from ..fit.search import Option, Result
    from ..plan import Plan
    from ..spec.models import SpecModel
    from ..system.devices import Device


def fit_table(result: Result, device: Device) -> Table:
    """One row a number of blocks and combination of knobs, with a mark on the Pareto front of peak and FLOPs."""
    on = result.profile.device if result.profile else "a CPU" if device == "cpu" else "CUDA"
    timed = result.profile is not None
    rows = (_fit_row(option, option is result.chosen, timed=timed) for option in result.options)
    left = (Column("knobs", wraps=True, stacks=1), Column("cuts after", shortens="items"))
    time = ("step",) if timed else ()
    right = (Column("blocks", right=True, heads=True), "peak", *time, "FLOPs", "fits", Column("best"))
    title = {"time": "fastest", "blocks": "best splits", "memory": "lowest peaks"}[result.aim]
    return table(f"{title} for a budget of {show_bytes(result.budget)} on {on}", left, right, rows)


def _fit_row(option: Option, chosen: bool, *, timed: bool) -> tuple[str, ...]:
    row, knobs = option.row, option.setting.knobs
    return (
        ", ".join(map(_brief, knobs)) or "–", ", ".join(row.after) or "–",
        str(row.blocks), show_bytes(row.predicted_peak_bytes),
        *([seconds_shown(option.seconds or 0)] if timed else []), f"{row.relative_flops:.2f}×",
        "yes" if option.fits else "no", "*" * option.pareto + " taken" * chosen,
    )  # fmt: skip


def _brief(setting: str) -> str:
    """A setting without what is in its lists, which a row has no room for."""
    key, _, value = setting.partition(": ")
    return setting if len(setting) < LONG else f"{key}: {value.partition(': ')[0]}: …}}"


def named(name: str, blocks: int, settings: Sequence[str]) -> str:
    """What a spec that was found is called: after the one that it extends, and what it is.

    >>> named("big", 2, ["train.micro_batches: 4"]), named("big", 1, ["train.recompute: true"])
    ('big_2_blocks_4_micro_batches', 'big_e2e_recompute')
    """
    return "_".join([name, "e2e" if blocks == 1 else f"{blocks}_blocks", *map(in_a_name, settings)])


def fit_lines(result: Result) -> Iterator[str]:
    """What to know of the table, and the option to take."""
    if result.options:
        yield f"* no other has both less memory and {'less time' if result.profile else 'fewer FLOPs'}"
    if result.profile is not None:
        yield f"times are predicted for {result.profile.device}: {result.profile.source}"
    if result.considered < result.legal:
        yield f"looked at {result.considered} of {result.legal} legal cuts, evenly spread: others may be better"
    if not result.complete:
        yield "rows are left out where more blocks lower the peak by less than 1 %"
    if not result.exact:
        yield "a split that was proposed came to something else when it was compiled: there may be better ones"
    if result.chosen is not None:
        yield split_line(result.chosen.row.after)
        yield from result.chosen.setting.knobs


def split_line(after: Sequence[str]) -> str:
    """Cuts as a spec says them."""
    return f"split: {{after: [{', '.join(after)}]}}" if after else "split: {blocks: 1}"


def decision_lines(before: SpecModel, plan: Plan) -> Iterator[str]:
    """What the budget decided, where the spec left the split to it: the cuts, and the knobs that had to be turned."""
    if before.split.fit is None:
        return
    cuts = [block.layers[-1] for block in plan.blocks[:-1]]
    yield f"the budget decided: {split_line(cuts)}"
    if settings := turned(before, plan.config):
        yield f"  and {', '.join(settings)}"


def fit_document(result: Result, device: Device) -> dict[str, Any]:
    """The table for machines."""
    chosen = result.chosen
    return {
        "format_version": 2,
        "for": result.aim,
        "budget_bytes": result.budget,
        "device": device,
        "device_profile": result.profile.name if result.profile else None,
        "legal_cuts": result.legal,
        "considered_cuts": result.considered,
        "exact": result.exact and result.considered == result.legal,
        "complete": result.complete,
        "rows": [_option(option) for option in result.options],
        "chosen": _option(chosen) if chosen else None,
    }


def _option(option: Option) -> dict[str, Any]:
    row, knobs = option.row, option.setting.knobs
    return {
        "blocks": row.blocks, "after": list(row.after), "predicted_peak_bytes": row.predicted_peak_bytes,
        "relative_flops": row.relative_flops, "step_seconds": option.seconds,
        "fits": option.fits, "pareto": option.pareto, "knobs": list(knobs),
    }  # fmt: skip


def compare_table(plans: Sequence[Plan], measured: Sequence[Any], times: Sequence[StepTime | None]) -> Table:
    """One row a spec; ratios are to the first. A measured time is shown in place of a predicted one."""
    one, many = _called(plans)
    names = ("blocks", "units", "predicted", "peak ×", f"GFLOPs {one}", "FLOPs ×")
    more = ("measured",) if measured[0] else ()
    taken = [found.seconds if found else time.seconds if time else None
             for found, time in zip(measured, times, strict=True)]  # fmt: skip
    rows = ([*_compared(plan, plans[0], found), *_timed(plan, own, taken[0])]
            for plan, found, own in zip(plans, measured, taken, strict=True))  # fmt: skip
    timed = ("step", f"{many}/s", "time ×") if taken[0] else ()
    return table("one training step" + _where(measured[0], times[0]), ("spec",), (*names, *more, *timed), rows)


def _called(plans: Sequence[Plan]) -> tuple[str, str]:
    """What one sample is called, and many are, where all plans are of the same."""
    names = {(plan.config.learns.one, plan.config.samples) for plan in plans}
    return names.pop() if len(names) == 1 else ("a sample", "samples")


def _where(measured: Any, time: StepTime | None) -> str:
    """What the times are from."""
    if measured:
        return f", measured here on {measured.device}"
    return f", time on {time.device} ({time.source})" if time else ""


def _timed(plan: Plan, seconds: float | None, yardstick: float | None) -> list[str]:
    if seconds is None or yardstick is None:
        return []
    rate = plan.config.data.batch_size / seconds
    return [seconds_shown(seconds), rate_shown(rate), f"{seconds / yardstick:.2f}"]


def _compared(plan: Plan, first: Plan, found: Any) -> list[str]:
    peak, flops = plan.memory.peak_bytes, step_flops(plan)
    cells = [
        plan.name, str(len(plan.blocks)), str(len(plan.units)), show_bytes(peak),
        f"{peak / first.memory.peak_bytes:.2f}", f"{flops / 1e9:.3g}", f"{flops / step_flops(first):.2f}",
    ]  # fmt: skip
    return [*cells, show_bytes(found.peak_bytes)] if found is not None else cells


def compare_document(
    plans: Sequence[Plan], measured: Sequence[Any], times: Sequence[StepTime | None]
) -> dict[str, Any]:
    """The comparison for machines."""
    rows = []
    for plan, found, time in zip(plans, measured, times, strict=True):
        row: dict[str, Any] = {
            "name": plan.name, "blocks": len(plan.blocks), "units": len(plan.units),
            "predicted_peak_bytes": plan.memory.peak_bytes, "predicted_for": plan.memory.device,
            "flops_per_image": step_flops(plan), "time": time_document(time),
        }  # fmt: skip
        if found is not None:
            row |= {"device": found.device, "measured_peak_bytes": found.peak_bytes, "step_seconds": found.seconds}
            row["time"] = measured_document(found.seconds, plan.config.data.batch_size, found.device)
        rows.append(row)
    return {"format_version": 1, "rows": rows}

"""Commands about plans: plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..diagnostics.notices import doing
from .devices import device_profile, is_given, predicted_for
from .layouts import layout_options, links_of, over_any_budget, show_layouts
from .options import FILE, human_or_json, main, predicted_on, spec_argument
from .output import echo, echo_json
from .shared import compile_shown, errors_shown, fail, failures_shown, load, loading_torch, say
from .timelines import HERE, Drawing, show_timeline
from .writing import force_option, may_write, written

if TYPE_CHECKING:
    from ..plan import Plan
    from ..profiles import Profile
    from ..system.devices import Device


@main.command()
@spec_argument
@predicted_on
@device_profile
@layout_options
@click.option("--trace", "traced", is_flag=True, help="Also count the tensors of the real modules, run on fakes.")
@click.option("--verify", "verified", is_flag=True, help="Also check every invariant of the plan.")
@click.option(
    "--timeline", type=Drawing(), is_flag=False, flag_value="-", metavar="[FILE.svg]",
    help="Also draw the step's memory, beside end-to-end training's; without a file here. Give it after the spec.",
)  # fmt: skip
@click.option(
    "--snapshot",
    type=FILE,
    help="Write the predicted allocations for PyTorch's memory visualiser: pytorch.org/memory_viz.",
)
@force_option
@human_or_json
def plan(
    spec: Path,
    overrides: tuple[str, ...],
    device: Device,
    profile: Profile | None,
    count: int | None,
    bandwidth: int | None,
    latency: float,
    traced: bool,
    verified: bool,
    timeline: Path | None,
    snapshot: Path | None,
    force: bool,
    form: str,
) -> None:
    """Compile a spec and show its units, what they cost, and the predicted peak against the budget."""
    drawn = None if timeline == HERE else timeline
    if timeline == HERE and form == "json":
        raise click.UsageError("--format json carries `timeline` anyway: give --timeline a FILE.svg, or leave it out")
    may_write("--timeline", drawn, spec, force)
    may_write("--snapshot", snapshot, spec, force)
    links = links_of(count, bandwidth, latency, given=is_given("latency"))
    if links is not None and (traced or verified or timeline or snapshot):
        raise click.UsageError("--devices shows layouts, and no single plan: leave out what is about one")
    device, profile = predicted_for(device, profile, said=is_given("device"))
    if count is not None and links is not None:
        with errors_shown(form):
            show_layouts(over_any_budget(load(spec, list(overrides), device)), count, links, profile, form)
        return
    with errors_shown(form):
        loaded = load(spec, list(overrides), device)
        compiled = compile_shown(loaded)
    from ..views import plan as view
    from ..views.budget import decision_lines
    from ..views.device import device_lines
    from ..views.devices import devices_document, devices_parts, ranks_timed
    from ..views.margin import margin_lines
    from ..views.step_time import time_line, timed

    time, ranks = timed(compiled, profile), ranks_timed(compiled, profile)
    peaks = _trace(compiled) if traced else None
    if form == "json":
        echo_json(view.plan_document(compiled, peaks, profile, time) | {"devices": devices_document(ranks)})
    else:
        say(
            view.plan_table(compiled, time),
            *devices_parts(ranks),
            *decision_lines(loaded.config, compiled),
            time_line(compiled, time),
            *view.memory_lines(compiled),
            *device_lines(compiled, profile),
            *margin_lines(compiled),
            *view.trace_lines(compiled, peaks),
        )
    if timeline is not None:
        show_timeline(compiled, drawn)
    if snapshot is not None:
        from ..views.snapshot import snapshot_pickle

        written(snapshot, snapshot_pickle(compiled))
    if verified:
        _verify(compiled)


def _trace(compiled: Plan) -> tuple[int, ...]:
    """Traced bytes of every instruction."""
    with failures_shown():
        with loading_torch():
            from runtime.memory.trace import trace

        with doing("tracing the real modules"):
            return trace(compiled).timeline


def _verify(compiled: Plan) -> None:
    from ..compiler.verify import verify

    with doing("checking every invariant of the plan"):
        broken = verify(compiled)
        if compiled.config.devices.count > 1:
            broken += _ranks_checked(compiled)
    if broken:
        fail(3, "the plan breaks an invariant, which is a bug in specc", *broken)
    echo("every invariant of the plan holds", err=True)


def _ranks_checked(compiled: Plan) -> list[str]:
    from ..layout import every_rank, stages_of
    from ..layout.witness import witness
    from ..plan.sound import faults

    ranks = every_rank(compiled, stages_of(compiled))
    unsound = [f"rank {rank}: {wrong}" for rank, own in enumerate(ranks) for wrong in faults(own)]
    return [*unsound, *witness(compiled, ranks)]

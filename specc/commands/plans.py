"""Commands about plans: plan, fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..diagnostics import SpecError
from ..diagnostics.notices import doing
from .devices import device_profile, is_given, predicted_for
from .options import FILE, MemorySize, Value, human_or_json, main, predicted_on, spec_argument
from .output import echo, echo_json
from .shared import compile_shown, errors_shown, fail, failures_shown, load, loading_torch, say, show
from .timelines import HERE, Drawing, show_timeline
from .writing import force_option, may_write, written

if TYPE_CHECKING:
    from ..fit.search import Option, Result
    from ..plan import Plan
    from ..profiles import Profile
    from ..spec.load import Spec
    from ..spec.models import SpecModel
    from ..system.devices import Device


def allowed() -> list[str]:
    """What a search may change."""
    from ..spec.knobs import KNOBS

    return ["split", *KNOBS]


class Allow(Value):
    """Some of what a search may change; read from the registry when it is asked for, which takes time to import."""

    name = "names"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """All there are."""
        return ",".join(allowed())

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """The names."""
        from ..spec.knobs import KNOBS

        names = [name.strip() for name in value.split(",")]
        if unknown := [name for name in names if name not in allowed()]:
            self.fail(f"it takes {', '.join(allowed())}, not {', '.join(unknown)}", param, ctx)
        for error in filter(None, map(KNOBS.fault, names)):
            self.fail(f"{error}; {error.help}", param, ctx)
        return names


@main.command()
@spec_argument
@predicted_on
@device_profile
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
    device, profile = predicted_for(device, profile, said=is_given("device"))
    with errors_shown(form):
        loaded = load(spec, list(overrides), device)
        compiled = compile_shown(loaded)
    from ..views import plan as view
    from ..views.budget import decision_lines
    from ..views.device import device_lines
    from ..views.margin import margin_lines
    from ..views.step_time import time_line, timed

    time = timed(compiled, profile)
    peaks = _trace(compiled) if traced else None
    if form == "json":
        echo_json(view.plan_document(compiled, peaks, profile, time))
    else:
        say(
            view.plan_table(compiled, time),
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
    if broken:
        fail(3, "the plan breaks an invariant, which is a bug in specc", *broken)
    echo("every invariant of the plan holds", err=True)


@main.command()
@spec_argument
@click.option("--budget", type=MemorySize(), help="The most memory a step may take; by default the spec's own.")
@predicted_on
@click.option("--allow", type=Allow(), default="split", show_default=True, help="What may change.")
@click.option(
    "--write", "target", type=FILE,
    help="Write the chosen spec to this file: what is changed, over the spec that it extends.",
)  # fmt: skip
@force_option
@human_or_json
def fit(
    spec: Path,
    overrides: tuple[str, ...],
    budget: int | None,
    device: Device,
    allow: list[str],
    target: Path | None,
    force: bool,
    form: str,
) -> None:
    """Find the fewest blocks whose predicted peak fits a budget, and where to cut."""
    may_write("--write", target, spec, force, ", which the new one extends")
    with errors_shown(form):
        loaded = load(spec, list(overrides), device)
        result = _search(loaded, budget, allow)
    _show_fit(result, device, form)
    if result.chosen is None:
        from ..fit.search import shortfall

        fail(1, shortfall(result), *_ways_out(result, allow))
    if target is not None:
        from ..spec.dump import derive

        written(target, derive(_budgeted(result, result.chosen), spec, target))


def _ways_out(result: Result, allow: list[str]) -> Iterator[str]:
    """What to change where nothing fits: only what is not allowed yet, and no budget where there is nothing to try."""
    if not result.options:
        yield "narrower windows, shorter EMA links or fewer `skip` leave more places to cut"
    elif set(allowed()) <= set(allow):
        yield "raise --budget, or take a smaller backbone"
    else:
        yield f"allow more with --allow {','.join(allowed())}"
        yield "or raise --budget"


def _search(loaded: Spec, budget: int | None, names: list[str]) -> Result:
    from ..fit.open_split import check_open_split
    from ..fit.search import ANY, search
    from ..pipeline import BEFORE_SPLIT, CHECKS, run_passes

    own, fit = loaded.config.budget, loaded.config.split.fit
    limit = budget if budget is not None else own.memory if own else None
    if limit is None:
        raise click.UsageError("no budget: give --budget, or `budget.memory` in the spec")
    searched = fit is not None or "split" in names
    draft = run_passes(loaded, BEFORE_SPLIT if searched else CHECKS)
    draft = check_open_split(draft) if searched else draft
    if draft.failed:
        raise SpecError(draft.diagnostics, loaded.sources)
    if draft.diagnostics:
        show(draft.diagnostics, loaded.sources, "human")
    return search(draft, limit, [*names, *(["split", *fit.allow] if fit else ())], fit or ANY)


def _budgeted(result: Result, option: Option) -> SpecModel:
    """The chosen spec under the budget that it was chosen for."""
    from ..spec.sections.split import Budget

    config = option.config
    budget = (config.budget or Budget(memory=result.budget)).model_copy(update={"memory": result.budget})
    return config.model_copy(update={"budget": budget})


def _show_fit(result: Result, device: Device, form: str) -> None:
    from ..views.budget import fit_document, fit_lines, fit_table

    if form == "json":
        echo_json(fit_document(result, device))
        return
    say(*([fit_table(result, device)] if result.options else []), *fit_lines(result))

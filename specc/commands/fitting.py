"""`specc fit`: what fits a budget, and against which rivals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..diagnostics import SpecError
from .devices import device_profile, is_given, predicted_for
from .options import FILE, MemorySize, Value, human_or_json, main, predicted_on, spec_argument
from .output import echo_json
from .shared import errors_shown, fail, load, say, show
from .writing import force_option, may_write, written

if TYPE_CHECKING:
    from ..compiler.draft import Draft
    from ..fit.rivals import Rival, Rivals
    from ..fit.search import Aim, Result
    from ..profiles import Profile
    from ..spec.load import Spec
    from ..spec.models import SpecModel
    from ..system.devices import Device

PROFILES = "for seconds measure this device with `specc doctor --calibrate`, or name one: --device-profile rtx3090"


def allowed() -> list[str]:
    """What a search may change."""
    from ..spec.knobs import KNOBS

    return ["split", *KNOBS]


def unasked(aim: Aim, profile: Profile | None) -> list[str]:
    """What a search may change where nobody says: what leaves the numbers of a step as they are, but for rounding."""
    from ..spec.knobs import Change, every

    if aim == "blocks":
        return ["split"]
    timed = aim == "time" and profile is not None
    mild = (knob for knob in every() if knob.changes <= Change.ROUNDING and not knob.asked)
    return ["split", *(knob.name for knob in mild if knob.saves or timed)]


class Names(Value):
    """Some names; those that may be given are read when they are asked for, which takes time to import."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """The names."""
        return [name.strip() for name in value.split(",")]


class Allow(Names):
    """Some of what a search may change."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """All there are."""
        return ",".join(allowed())

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """The names."""
        from ..spec.knobs import KNOBS

        names = super().convert(value, param, ctx)
        if unknown := [name for name in names if name not in allowed()]:
            self.fail(f"it takes {', '.join(allowed())}, not {', '.join(unknown)}", param, ctx)
        for error in filter(None, map(KNOBS.fault, names)):
            self.fail(f"{error}; {error.help}", param, ctx)
        return names


class Methods(Names):
    """Some of the methods that recipes train by."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        """The names."""
        from ..recipes.methods import UnknownMethod, known

        names = super().convert(value, param, ctx)
        for error in (UnknownMethod(name) for name in names if name not in known()):
            self.fail("; ".join((str(error), *error.help)), param, ctx)
        return names


@main.command()
@spec_argument
@click.option("--budget", type=MemorySize(), help="The most memory a step may take; by default the spec's own.")
@click.option(
    "--for", "aim", type=click.Choice(("time", "blocks", "memory")), default="time", show_default=True,
    help="What to look for: the fastest that fits, the fewest blocks that fit, or the lowest peak.",
)  # fmt: skip
@click.option(
    "--allow", type=Allow(),
    help="What may change; by default the split, and unless it is for blocks whatever leaves the numbers as they are "
    "on the device that there is.",
)  # fmt: skip
@click.option("--rivals", is_flag=True, help="Compare with exact training and with other methods, in one table.")
@click.option("--methods", type=Methods(), metavar="NAMES", help="The local methods to compare: dgl,infopro,man,hpff.")
@click.option("--take", metavar="NAME|NUMBER", help="The row of --rivals to write; by default the fastest that fits.")
@predicted_on
@device_profile
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
    aim: Aim,
    allow: list[str] | None,
    rivals: bool,
    methods: list[str] | None,
    take: str | None,
    device: Device,
    profile: Profile | None,
    target: Path | None,
    force: bool,
    form: str,
) -> None:
    """Find the fastest configuration whose predicted peak fits a budget, or compare all ways that would fit."""
    _one_question(rivals, methods, take, target)
    may_write("--write", target, spec, force, ", which the new one extends")
    device, profile = predicted_for(device, profile, said=is_given("device"))
    with errors_shown(form):
        loaded = load(spec, list(overrides), device)
        names = allow if allow is not None else unasked(aim, profile)
        draft, limit = _prepared(loaded, budget, names, searched=rivals or "split" in names, any_blocks=rivals)
        if rivals:
            chosen = _compared(draft, limit, methods or [], take, profile, form)
        else:
            chosen = _found(draft, limit, names, aim, profile, form)
    if target is not None:
        from ..fit.fastest import with_budget
        from ..spec.dump import derive

        config, name = chosen
        written(target, derive(with_budget(config, limit), spec, target, name))


def _one_question(rivals: bool, methods: list[str] | None, take: str | None, target: Path | None) -> None:
    if not rivals and (methods or take):
        raise click.UsageError("--methods and --take are for --rivals")
    if rivals and is_given("allow", "aim"):
        raise click.UsageError("--rivals looks for the fastest of every kind: --for and --allow say nothing there")
    if take and target is None:
        raise click.UsageError("--take says which row to write: give --write FILE")


def _prepared(
    loaded: Spec, budget: int | None, names: list[str], *, searched: bool, any_blocks: bool
) -> tuple[Draft, int]:
    """The spec as far as a search needs it, and the budget."""
    from ..fit.open_split import check_open_split
    from ..pipeline import BEFORE_SPLIT, CHECKS, run_passes

    own, fit = loaded.config.budget, loaded.config.split.fit
    limit = budget if budget is not None else own.memory if own else None
    if limit is None:
        raise click.UsageError("no budget: give --budget, or `budget.memory` in the spec")
    searched = fit is not None or searched
    draft = run_passes(loaded, BEFORE_SPLIT if searched else CHECKS)
    draft = check_open_split(draft, any_blocks=any_blocks) if searched else draft
    if draft.failed:
        raise SpecError(draft.diagnostics, loaded.sources)
    if draft.diagnostics:
        show(draft.diagnostics, loaded.sources, "human")
    return draft, limit


# ------------------------------------------------------------------------------------------------------------ fit


def _found(
    draft: Draft, limit: int, names: list[str], aim: Aim, profile: Profile | None, form: str
) -> tuple[SpecModel, str]:
    """The chosen configuration, shown, and what it is called."""
    from ..fit.search import ANY, search, shortfall
    from ..spec.knobs import turned
    from ..views.budget import named

    fit = draft.spec.config.split.fit
    allow = [*names, *(["split", *fit.allow] if fit else ())]
    result = search(draft, limit, allow, fit or ANY, aim, profile)
    _show_fit(result, draft.spec.device, form)
    if result.chosen is None:
        fail(1, shortfall(result), *_ways_out(result, names))
    config = result.chosen.config
    name = named(draft.spec.config.name, result.chosen.row.blocks, turned(draft.spec.config, config))
    return config, name


def _ways_out(result: Result, allow: list[str]) -> Iterator[str]:
    """What to change where nothing fits: only what is not allowed yet, and no budget where there is nothing to try."""
    if not result.options:
        yield "narrower windows, shorter EMA links or fewer `skip` leave more places to cut"
    elif set(helping := _helping()) <= set(allow):
        yield "raise --budget, or take a smaller backbone"
    else:
        yield f"allow more with --allow {','.join(helping)}"
        yield "or raise --budget"


def _helping() -> list[str]:
    """What takes less memory."""
    from ..spec.knobs import by_cost

    saving = {knob.name for knob in by_cost()}
    return [name for name in allowed() if name == "split" or name in saving]


def _show_fit(result: Result, device: Device, form: str) -> None:
    from ..views.budget import fit_document, fit_lines, fit_table

    if form == "json":
        echo_json(fit_document(result, device))
        return
    lines = [*fit_lines(result), *([PROFILES] if result.aim == "time" and result.profile is None else [])]
    say(*([fit_table(result, device)] if result.options else []), *lines)


# ------------------------------------------------------------------------------------------------------------ rivals


def _compared(
    draft: Draft, limit: int, methods: Sequence[str], take: str | None, profile: Profile | None, form: str
) -> tuple[SpecModel, str]:
    """The row to write, and what it is called."""
    from ..fit.comparison import Comparison
    from ..recipes.methods import of_spec

    config = draft.spec.config
    found = Comparison(draft, profile).under(limit, of_spec(config, methods))
    if found is None:
        fail(1, "this network cannot be trained end to end, which all rivals are compared with")
    _show_rivals(found, draft.spec.device, form)
    chosen = _taken(found, take) if take else found.chosen
    if chosen is None and found.quickest is not None:
        own, other = config.train.precision, found.quickest
        fail(
            1, f"nothing in {own} fits the budget", f"--take {other.name} changes the precision too, or raise --budget"
        )
    if chosen is None:
        fail(1, "nothing here fits the budget", "raise --budget, or take a smaller backbone")
    return chosen.candidate.config, f"{config.name}_{chosen.name}"


def _taken(found: Rivals, take: str) -> Rival:
    rows = {str(number): row for number, row in enumerate(found.rows, 1)} | {row.name: row for row in found.rows}
    if take not in rows:
        raise click.UsageError(f"--take {take}: there is no such row; they are {', '.join(r.name for r in found.rows)}")
    if not rows[take].fits:
        raise click.UsageError(f"--take {take}: it does not fit the budget")
    return rows[take]


def _show_rivals(found: Rivals, device: Device, form: str) -> None:
    from ..views.rivals import rivals_document, rivals_lines, rivals_table

    if form == "json":
        echo_json(rivals_document(found, device))
        return
    say(rivals_table(found, device), *rivals_lines(found), *([] if found.profile else [PROFILES]))

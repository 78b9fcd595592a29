"""Check 4: where the spec leaves the split to the budget, find it; from there on it is as if it had been written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..compiler.draft import Draft
from ..compiler.partition import partition
from ..compiler.units import form_units
from ..compiler.variants import recompiled
from ..diagnostics import Diagnostic
from ..language.schema import show_bytes
from ..language.source import Path
from ..spec.models import SpecModel
from ..spec.sections.levels import Level
from ..spec.sections.split import Budget, Fit, Split
from .methods import for_any_blocks
from .open_recomputation import closed, is_open
from .remedies import advice, highest_point
from .roles import lists_of_weights
from .wide import left_out

if TYPE_CHECKING:
    from .search import Option, Result

AT = ("split", "fit")
ONE_NUMBER = "write one number, or `{first: ..., last: ...}` for weights that change from unit to unit"


def decide_split(draft: Draft) -> Draft:
    """Replace `split: {fit: ...}` by the cuts that it stands for, and by the knobs that it had to turn."""
    fit, budget = draft.spec.config.split.fit, draft.spec.config.budget
    if fit is None:
        return draft
    draft = draft.updated(*_obstacles(draft, fit))
    if budget is None:
        help = ("like `budget: {memory: 6 GiB}`, or give the number of blocks: `split: {blocks: 4}`",)
        message = "`fit` lets the budget decide where to cut, but there is no budget"
        found = draft.spec.error("SPC504", message, *AT, label="needs `budget.memory`", help=help, key=True)
        return draft.updated(found)
    if draft.failed:
        return draft
    from .search import decide  # it needs numpy, which is slow to import

    result = decide(draft.updated(spec=draft.spec.with_config(closed(draft.spec.config))), budget.memory, fit)
    if result.chosen is None or result.chosen.setting.turns:
        draft = draft.updated(*left_out(draft))
    if result.chosen is not None:
        return draft.updated(spec=draft.spec.with_config(_open(draft, result.chosen.config)))
    if not result.options:
        return draft.updated(*_why_no_split(draft, fit))
    if budget.on_exceed == "warn":  # the budget's own check says by how much it is exceeded
        return draft.updated(spec=draft.spec.with_config(_open(draft, result.floor.config)))
    return draft.updated(_nothing_fits(draft, result, budget))


def _open(draft: Draft, found: SpecModel) -> SpecModel:
    """The configuration with recomputation as open as the spec leaves it, which comes after the split."""
    before = draft.spec.config
    return found.changed("train", recompute=before.train.recompute) if is_open(before) else found


def check_open_split(draft: Draft, *, any_blocks: bool = False) -> Draft:
    """What is wrong before the split is known, for a command that looks at splits whatever the spec says of its own.

    With `any_blocks` lists of weights are looked at as what they are for any number of blocks, and keep none out.
    """
    if draft.backbone is None:
        return draft
    fit = draft.spec.config.split.fit
    looked_at = draft
    if any_blocks:
        looked_at = draft.updated(spec=draft.spec.with_config(for_any_blocks(draft.spec.config)))
    found = _obstacles(looked_at, fit) if fit else (*_windows(looked_at, Fit()), *_left_out(looked_at))
    return draft.updated(*found, *left_out(draft))


def _obstacles(draft: Draft, fit: Fit) -> Iterator[Diagnostic]:
    """What makes sense only where the number of blocks is known."""
    spec, places = draft.spec, len(draft.graph.cut_choices)
    if fit.min_blocks > places + 1:
        message = f"{fit.min_blocks} blocks need {fit.min_blocks - 1} cuts, and `fit` looks at those {places} that one "
        message += "tensor alone crosses"
        yield spec.error("SPC402", message, *AT, "min_blocks", label=f"at most {places + 1}")
    yield from _windows(draft, fit)
    for level, path, unit in _named(draft):
        message = f"unit {unit} of the level `{level.name}` is named, but `fit` decides which units there are"
        first = f"name the first unit only, {level.first_end}, or give the cuts: `specc fit` finds them"
        yield spec.error("SPC506", message, *path, label="may be any unit, or none", help=(first,),
                         secondary=spec.beside("decides about the units", *AT))  # fmt: skip
    for path, count, blocks in _listed(draft) if fit.min_blocks != fit.max_blocks else ():
        message = f"`{_name(path)}` lists {count} numbers, one a unit, but `fit` decides how many units there are"
        fixed = f"or let `fit` decide the cuts alone: `fit: {{min_blocks: {blocks}, max_blocks: {blocks}}}`"
        yield spec.error("SPC506", message, *path, label=f"for {blocks} blocks", help=(ONE_NUMBER, fixed),
                         secondary=spec.beside("decides about the units", *AT))  # fmt: skip


def _left_out(draft: Draft) -> Iterator[Diagnostic]:
    """Splits that are not looked at, because the spec does not go with them."""
    for level, path, unit in _named(draft):
        message = f"unit {unit} of the level `{level.name}` is named: only splits into more blocks than that are tried"
        yield draft.spec.warning("SPC506", message, *path, label=f"for more than {unit} blocks")
    for path, count, blocks in _listed(draft):
        message = f"`{_name(path)}` lists {count} numbers, one a unit: only splits into {blocks} blocks are tried"
        yield draft.spec.warning("SPC506", message, *path, label=f"for {blocks} blocks", help=(ONE_NUMBER,))


def _windows(draft: Draft, fit: Fit) -> Iterator[Diagnostic]:
    """Windows that no split can have."""
    spec, places = draft.spec, len(draft.graph.cut_choices)
    most = min(fit.max_blocks or places + 1, places + 1)
    for i, level in enumerate(spec.config.levels):
        at = ("levels", i, "window")
        if level.window == "all":
            message = "a window of `all` blocks keeps everything alive: no split needs less memory than another"
            yield spec.error("SPC506", message, *at, label="not a number", secondary=spec.beside("fit", *AT))
        elif level.window > most:
            message = f"a window of {level.window} blocks does not fit into {most}"
            yield spec.error("SPC405", message, *at, label=f"at most {most}",
                             secondary=spec.beside("no more blocks", *AT, "max_blocks"))  # fmt: skip


def _named(draft: Draft) -> Iterator[tuple[Level, Path, int]]:
    """Units that are named by their number; only a level's first one is the same however many there are."""
    for i, level in enumerate(draft.spec.config.levels):
        named = ((("levels", i, *at), unit) for at, unit in level.named() if unit != level.first_end)
        yield from ((level, path, unit) for path, unit in named)


def _listed(draft: Draft) -> Iterator[tuple[Path, int, int]]:
    """Lists of weights, one a unit: how many, and the number of blocks that they are for."""
    levels = draft.spec.config.levels
    for path, count in lists_of_weights(draft.spec.config).items():
        level = levels[int(path[1])] if path[0] == "levels" else levels[0]
        yield path, count, count + 1 + level.first_end


def _name(path: Path) -> str:
    return ".".join(map(str, path[-2:]))


def _why_no_split(draft: Draft, fit: Fit) -> tuple[Diagnostic, ...]:
    """No split can stand at all: what is wrong with one that has as few blocks as can be."""
    windows = [int(level.window) for level in draft.spec.config.levels]
    split = Split(blocks=max(fit.min_blocks, min(1 + max(windows), 1 + len(draft.graph.cut_choices))))
    trial = form_units(partition(draft.updated(spec=draft.spec.with_config(
        draft.spec.config.model_copy(update={"split": split})))))  # fmt: skip
    found = tuple(d for d in trial.diagnostics[len(draft.diagnostics) :] if d.is_error)
    message = "no split can stand: wherever the backbone is cut, some unit cannot be built"
    return found or (draft.spec.error("SPC505", message, *AT, label="finds nothing", key=True),)


def _nothing_fits(draft: Draft, result: Result, budget: Budget) -> Diagnostic:
    floor = result.floor
    spec, peak = draft.spec, floor.row.predicted_peak_bytes
    message = (
        f"no split fits the budget of {show_bytes(budget.memory)}: the lowest predicted peak is {show_bytes(peak)}"
    )
    label, beside = (
        f"{show_bytes(peak - budget.memory)} too little",
        spec.beside("of the splits that are allowed here", *AT),
    )
    return spec.error("SPC505", message, "budget", "memory", label=label, secondary=beside,
                      help=tuple(_floor_help(draft, floor, budget)))  # fmt: skip


def _floor_help(draft: Draft, floor: Option, budget: Budget) -> Iterator[str]:
    """What makes the floor, and what would lower it."""
    blocks = floor.row.blocks
    turned = "".join(f", `{knob}`" for knob in floor.setting.knobs)
    lowest = recompiled(draft, floor.config)
    yield f"the lowest peak has {blocks} block{'s' * (blocks > 1)}{turned}"
    if lowest is not None:
        yield highest_point(lowest)
        yield from advice(lowest, budget.memory)

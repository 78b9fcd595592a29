"""`specc fit`: the table of blocks against peak and FLOPs, for every allowed combination of knobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby

from ..schema import show_bytes
from ..spec.models import Fit, SpecModel, Split
from .budget import having, predicted_peak, with_one_weight, with_sequential_patches
from .draft import Draft
from .fit import Row, best_splits

Change = Callable[[SpecModel], "SpecModel | None"]

# Cheapest first: what costs nothing, then time, then precision, then the batch.
KNOBS: dict[str, tuple[str, Change]] = {
    "patches": ("patches.execution: sequential", with_sequential_patches),
    "recompute": ("train.recompute: true", lambda c: None if c.train.recompute else having(c, "train", recompute=True)),
    "precision": (
        "train.precision: bf16",
        lambda c: having(c, "train", precision="bf16") if c.train.precision == "fp32" else None,
    ),
    "batch_size": (
        "data.batch_size halved",
        lambda c: having(c, "data", batch_size=c.data.batch_size // 2) if c.data.batch_size > 1 else None,
    ),
}


ANY = Fit()


@dataclass(frozen=True, slots=True)
class Option:
    """The best split into so many blocks under some knobs."""

    row: Row
    knobs: tuple[str, ...]
    config: SpecModel
    fits: bool
    pareto: bool = False  # no other option has both a lower peak and fewer FLOPs an image


@dataclass(frozen=True, slots=True)
class Result:
    """All options, and the one to take: the fewest blocks and the fewest knobs that fit."""

    options: tuple[Option, ...]
    chosen: Option | None
    considered: int  # legal cuts that were looked at
    legal: int
    budget: int

    @property
    def floor(self) -> Option:
        """The option with the lowest peak: what to say when nothing fits."""
        return min(self.options, key=lambda option: option.row.predicted_peak_bytes)


def search(draft: Draft, budget: int, allow: Sequence[str] = ("split",), within: Fit = ANY) -> Result:
    """Try every combination of the allowed knobs (`split` and the names in `KNOBS`) with every number of blocks."""
    found = Result((), None, 0, 0, budget)
    for setting in _settings(draft.spec.config, allow):
        found = _with(found, draft, setting, within if "split" in allow else _as_it_is(draft))
    marked = tuple(_marked(found.options))
    return replace(found, options=marked, chosen=next(_fitting(marked), None))


def least(draft: Draft, budget: int, fit: Fit) -> Result:
    """The same for a spec that leaves its split to the budget: more knobs are tried only where fewer do not fit."""
    found = Result((), None, 0, 0, budget)
    for _, settings in groupby(_settings(draft.spec.config, fit.allow), lambda setting: len(setting[0])):
        known = len(found.options)
        for setting in settings:
            found = _with(found, draft, setting, fit)
        for option in _fitting(found.options[known:]):
            if _really_fits(draft, option, budget):
                return replace(found, chosen=option)
    return found


def _with(found: Result, draft: Draft, setting: tuple[tuple[str, ...], SpecModel], within: Fit) -> Result:
    """The result with the best splits under one more setting of the knobs."""
    knobs, config = setting
    table = best_splits(draft, with_all_heads(config))
    rows = [row for row in table.rows if within.min_blocks <= row.blocks <= (within.max_blocks or row.blocks)]
    more = (Option(row, knobs, config, row.predicted_peak_bytes <= found.budget) for row in rows)
    return replace(found, options=(*found.options, *more), considered=table.considered, legal=table.legal)


def _as_it_is(draft: Draft) -> Fit:
    """The number of blocks that the spec asks for."""
    return Fit(min_blocks=len(draft.blocks), max_blocks=len(draft.blocks))


def _fitting(options: Iterable[Option]) -> Iterator[Option]:
    """The options that fit, the fewest knobs and then the fewest blocks first."""
    return iter(sorted((o for o in options if o.fits), key=lambda o: (len(o.knobs), o.row.blocks)))


def _really_fits(draft: Draft, option: Option, budget: int) -> bool:
    """Whether the whole plan does too: slices leave out the few bytes of the losses, and what paths have in common."""
    peak = predicted_peak(draft, written(option))
    return peak is not None and peak <= budget


def with_all_heads(config: SpecModel) -> SpecModel:
    """The configuration without weights by unit: their number changes with the blocks, their size does not matter."""
    return with_one_weight(having(config, "train", zero_weight_heads="keep"))


def _settings(config: SpecModel, allow: Sequence[str]) -> Iterator[tuple[tuple[str, ...], SpecModel]]:
    names = [name for name in KNOBS if name in allow]
    for count in range(len(names) + 1):
        for chosen in combinations(names, count):
            changed: SpecModel | None = config
            for name in chosen:
                changed = KNOBS[name][1](changed) if changed is not None else None
            if changed is not None:
                yield tuple(KNOBS[name][0] for name in chosen), changed


def _marked(options: Sequence[Option]) -> Iterator[Option]:
    """The options with the Pareto front marked, an image at a time."""
    best = float("inf")
    front: set[int] = set()
    rows = [option.row for option in options]
    for i in sorted(range(len(rows)), key=lambda i: (rows[i].relative_flops, rows[i].predicted_peak_bytes)):
        if options[i].row.predicted_peak_bytes < best:
            best = options[i].row.predicted_peak_bytes
            front.add(i)
    for i, option in enumerate(options):
        yield replace(option, pareto=i in front)


def written(option: Option) -> SpecModel:
    """The spec's configuration with an option's cuts and knobs."""
    return option.config.model_copy(update={"split": split_of(option.row)})


def split_of(row: Row) -> Split:
    """The cuts as a spec says them."""
    return Split(after=list(row.after)) if row.after else Split(blocks=1)


def shortfall(result: Result) -> str:
    """What to say when nothing fits."""
    if not result.options:
        return "there is no split to try: windows, heads or EMA links leave no place to cut"
    floor = result.floor
    knobs = f" with {', '.join(floor.knobs)}" if floor.knobs else ""
    return (
        f"nothing fits into {show_bytes(result.budget)}: the floor is {show_bytes(floor.row.predicted_peak_bytes)}, "
        f"with {floor.row.blocks} blocks{knobs}"
    )

"""`specc fit`: the table of blocks against peak and FLOPs, for every allowed combination of knobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby, islice
from math import inf
from typing import NamedTuple

from ..compiler.draft import Draft
from ..compiler.variants import predict
from ..diagnostics.notices import doing, progress
from ..language.schema import show_bytes
from ..spec.knobs import by_cost
from ..spec.models import SpecModel
from ..spec.sections.split import Fit, Split
from .open_recomputation import closed
from .splits import Row, Splits

LOSSES = 64  # bytes a block: the losses, which costs of blocks leave out
ANY = Fit()
ALL_ROWS = 32  # of more legal cuts than these not every number of blocks is a row
WORTH = 0.99  # and then a row has at most so much of the peak of the one before


class Setting(NamedTuple):
    """A configuration, what was turned for it, and how often in all."""

    turns: int
    knobs: tuple[str, ...]
    config: SpecModel

    def __str__(self) -> str:
        return f" with {', '.join(self.knobs)}" if self.knobs else ""

    def cut(self, row: Row) -> SpecModel:
        """The configuration with a row's cuts."""
        split = Split(after=list(row.after)) if row.after else Split(blocks=1)
        return self.config.model_copy(update={"split": split})


@dataclass(frozen=True, slots=True)
class Option:
    """The best split into so many blocks under some knobs, as it was compiled."""

    row: Row
    setting: Setting
    fits: bool
    pareto: bool = False  # no other option has both a lower peak and fewer FLOPs an image

    @property
    def config(self) -> SpecModel:
        """The spec's configuration with the option's cuts and knobs."""
        return self.setting.cut(self.row)


@dataclass(frozen=True, slots=True)
class Result:
    """Options in rising numbers of blocks."""

    options: tuple[Option, ...]
    considered: int  # legal cuts that were looked at
    legal: int
    budget: int
    complete: bool = True  # whether there is a row for every number of blocks
    exact: bool = True  # whether all splits were what the search took them for

    @property
    def chosen(self) -> Option | None:
        """The option to take: of those that fit, the fewest turns of knobs and then the fewest blocks."""
        fitting = (option for option in self.options if option.fits)
        return min(fitting, key=lambda option: (option.setting.turns, option.row.blocks), default=None)

    @property
    def floor(self) -> Option:
        """The option with the lowest peak: what to say when nothing fits."""
        return min(self.options, key=lambda option: option.row.predicted_peak_bytes)


def search(draft: Draft, budget: int, allow: Sequence[str] = ("split",), within: Fit = ANY) -> Result:
    """Try every combination of the allowed knobs (`split`, and names of `KNOBS`) with every number of blocks."""
    found = Result((), len(draft.graph.cut_choices), len(draft.graph.cut_choices), budget)
    with doing("looking for splits"):
        for setting in _settings(closed(draft.spec.config), allow):
            if "split" in allow:
                found = _with_best(found, Trial(draft, setting, within, budget))
            else:
                found = replace(found, options=(*found.options, *_own(draft, setting, budget)))
    return replace(found, options=tuple(_marked(found.options)))


def decide(draft: Draft, budget: int, fit: Fit) -> Result:
    """The same for a spec that leaves its split to the budget: more knobs are tried only where fewer do not fit."""
    with doing("looking for splits"):
        return _decided(draft, budget, fit)


def _decided(draft: Draft, budget: int, fit: Fit) -> Result:
    found = Result((), len(draft.graph.cut_choices), len(draft.graph.cut_choices), budget)
    tried: list[Trial] = []
    for _, settings in groupby(_settings(draft.spec.config, fit.allow), lambda setting: setting.turns):
        trials = [Trial(draft, setting, fit, budget) for setting in settings]
        fitting = [option for trial in trials if (option := trial.fewest()) is not None]
        if fitting:
            return replace(found, options=tuple(fitting))
        tried += trials
    for trial in tried:  # nothing fits: what comes nearest to it
        found = _with_best(found, trial)
    return found


class Trial:
    """The best splits under one setting of the knobs."""

    def __init__(self, draft: Draft, setting: Setting, within: Fit, budget: int) -> None:
        self.draft, self.setting, self.budget = draft, setting, budget
        self.splits, self.exact = Splits(draft, setting.config), True
        self.numbers = [n for n in self.splits.numbers if within.min_blocks <= n <= (within.max_blocks or n)]
        self.complete = len(self.splits.cuts) <= ALL_ROWS

    def fewest(self) -> Option | None:
        """The option with the fewest blocks that fits."""
        return next((option for n in self.numbers if (option := self._option(n, self.budget)) and option.fits), None)

    def options(self) -> Iterator[Option]:
        """One for every number of blocks, or one wherever more blocks make a difference, and that with the least."""
        last: Option | None = None
        for blocks in self.numbers:
            most = inf if self.complete or last is None else self._worth(last)
            option = self._option(blocks, most)
            if option is not None and option.row.predicted_peak_bytes <= most:
                last = option
                yield option
        if last is not None and not self.complete:
            yield from self._floor(last)

    def _floor(self, last: Option) -> Iterator[Option]:
        """The option with the lowest peak of those with more blocks, if that makes a little difference at least."""
        lowest, rows = last.row.predicted_peak_bytes - 1, list[Row]()
        for blocks in (n for n in self.numbers if n > last.row.blocks):
            row = self._row(blocks, lowest)
            if row is not None:
                rows, lowest = [*rows, row], row.predicted_peak_bytes - 1
        options = (self.compiled(row) for row in reversed(rows))
        lower = (o for o in options if o and o.row.predicted_peak_bytes < last.row.predicted_peak_bytes)
        yield from islice(lower, 1)

    def _worth(self, last: Option) -> float:
        """The peak that makes an option with more blocks a row of its own."""
        return max(int(WORTH * last.row.predicted_peak_bytes), 0 if last.fits else self.budget)

    def _option(self, blocks: int, most: float) -> Option | None:
        """The best split into so many blocks as its spec is compiled, if it has no higher peak than `most`."""
        row = self._row(blocks, most)
        return None if row is None else self.compiled(row)

    def _row(self, blocks: int, most: float) -> Row | None:
        progress(f"looking for the best split into {blocks} blocks{self.setting}")
        return self.splits.best(blocks, most + 1)

    def compiled(self, row: Row) -> Option | None:
        """The split as its spec is compiled; None where that has errors."""
        found = predict(self.draft, self.setting.cut(row))
        if found is None:
            self.exact = False
            return None
        self.exact = self.exact and abs(found.peak - row.predicted_peak_bytes) <= LOSSES * row.blocks
        row = replace(row, predicted_peak_bytes=found.peak)
        return Option(row, self.setting, found.peak <= self.budget)


def _with_best(found: Result, trial: Trial) -> Result:
    """The result with the options of one more setting of the knobs."""
    options = (*found.options, *trial.options())
    return replace(
        found, options=options, considered=len(trial.splits.cuts), complete=found.complete and trial.complete,
        exact=found.exact and trial.exact,
    )  # fmt: skip


def _own(draft: Draft, setting: Setting, budget: int) -> Iterator[Option]:
    """The split that the spec has, where it may not change."""
    found = predict(draft, setting.config)
    if found is not None:
        after = tuple(block.layers[-1] for block in draft.blocks[:-1])
        whole = 3 * sum(node.flops for node in draft.graph.nodes)
        yield Option(Row(len(draft.blocks), after, found.peak, found.flops / whole), setting, found.peak <= budget)


def _settings(config: SpecModel, allow: Sequence[str]) -> Iterator[Setting]:
    """The configurations that turns of the allowed knobs make; few of them and cheap ones first."""
    turns = [knob for knob in by_cost() if knob.name in allow for _ in range(knob.turns)]
    for chosen in (c for count in range(len(turns) + 1) for c in dict.fromkeys(combinations(turns, count))):
        changed: SpecModel | None = config
        for knob in chosen:
            changed = None if changed is None else knob.turned(changed)
        if changed is not None:
            yield Setting(len(chosen), tuple(dict.fromkeys(knob.setting(changed) for knob in chosen)), changed)


def _marked(options: Sequence[Option]) -> Iterator[Option]:
    """The options with the Pareto front marked, an image at a time."""
    lowest, front = inf, set[int]()
    for option in sorted(options, key=lambda o: (o.row.relative_flops, o.row.predicted_peak_bytes)):
        if option.row.predicted_peak_bytes < lowest:
            lowest = option.row.predicted_peak_bytes
            front.add(id(option))
    return (replace(option, pareto=id(option) in front) for option in options)


def shortfall(result: Result) -> str:
    """What to say when nothing fits."""
    if not result.options:
        return "there is no split to try: windows, heads or EMA links leave no place to cut"
    floor = result.floor
    return (
        f"nothing fits into {show_bytes(result.budget)}: the floor is {show_bytes(floor.row.predicted_peak_bytes)}, "
        f"with {floor.row.blocks} blocks{floor.setting}"
    )

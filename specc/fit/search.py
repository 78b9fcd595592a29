"""`specc fit`: the table of blocks against peak and FLOPs, for every allowed combination of knobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from math import inf
from typing import Literal, NamedTuple

from ..compiler.draft import Draft
from ..compiler.variants import predict
from ..diagnostics.notices import doing, progress
from ..language.schema import show_bytes
from ..profiles import Profile
from ..spec.knobs import by_cost
from ..spec.knobs import turned as knob_settings
from ..spec.models import SpecModel
from ..spec.sections.split import Fit, Split
from .attempts import Attempts, cut
from .fastest import Fastest, shown, turned
from .open_recomputation import closed
from .splits import Row, Splits

Aim = Literal["time", "blocks", "memory"]
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
    pareto: bool = False  # no other option has both a lower peak and less time, or where no device is known fewer FLOPs
    seconds: float | None = None  # of a step

    @property
    def config(self) -> SpecModel:
        """The spec's configuration with the option's cuts and knobs."""
        return self.setting.cut(self.row)

    @property
    def cost(self) -> float:
        """Seconds an image, or where no device is known FLOPs."""
        return self.row.relative_flops if self.seconds is None else self.seconds / self.config.data.batch_size


def _fewest(option: Option) -> tuple[float, ...]:
    return option.setting.turns, option.row.blocks


def _lowest(option: Option) -> tuple[float, ...]:
    return option.row.predicted_peak_bytes, option.cost, option.row.blocks


def _fastest(option: Option) -> tuple[float, ...]:
    return option.cost, option.setting.turns, option.row.blocks


ORDERS: dict[Aim, Callable[[Option], tuple[float, ...]]] = {
    "time": _fastest, "blocks": _fewest, "memory": _lowest,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """Options in rising numbers of blocks."""

    options: tuple[Option, ...]
    considered: int  # legal cuts that were looked at
    legal: int
    budget: int
    complete: bool = True  # whether there is a row for every number of blocks
    exact: bool = True  # whether all splits were what the search took them for
    aim: Aim = "blocks"
    profile: Profile | None = None  # of the device whose time it is

    @property
    def chosen(self) -> Option | None:
        """The option to take, of those that fit."""
        fitting = (option for option in self.options if option.fits)
        return min(fitting, key=ORDERS[self.aim], default=None)

    @property
    def floor(self) -> Option:
        """The option with the lowest peak: what to say when nothing fits."""
        return min(self.options, key=lambda option: option.row.predicted_peak_bytes)


def search(
    draft: Draft, budget: int, allow: Sequence[str] = ("split",), within: Fit = ANY, aim: Aim = "blocks",
    profile: Profile | None = None,
) -> Result:  # fmt: skip
    """Try every combination of the allowed knobs (`split`, and names of `KNOBS`) with every number of blocks."""
    places = len(draft.graph.cut_choices)
    found = Result((), places, places, budget, aim=aim, profile=profile)
    if aim == "time":
        with doing("looking for the fastest configuration that fits"):
            return _timed(found, draft, allow, within)
    with doing("looking for splits"):
        for setting in _settings(closed(draft.spec.config), allow):
            if "split" in allow:
                found = _with_best(found, Trial(draft, setting, within, budget, profile))
            else:
                found = replace(found, options=(*found.options, *_own(draft, setting, budget, profile)))
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

    def __init__(
        self, draft: Draft, setting: Setting, within: Fit, budget: int, profile: Profile | None = None
    ) -> None:
        self.draft, self.setting, self.budget, self.profile = draft, setting, budget, profile
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
        found = predict(self.draft, self.setting.cut(row), self.profile)
        if found is None:
            self.exact = False
            return None
        self.exact = self.exact and abs(found.peak - row.predicted_peak_bytes) <= LOSSES * row.blocks
        row = replace(row, predicted_peak_bytes=found.peak)
        return Option(row, self.setting, found.peak <= self.budget, seconds=found.seconds)


def _with_best(found: Result, trial: Trial) -> Result:
    """The result with the options of one more setting of the knobs."""
    options = (*found.options, *trial.options())
    return replace(
        found, options=options, considered=len(trial.splits.cuts), complete=found.complete and trial.complete,
        exact=found.exact and trial.exact,
    )  # fmt: skip


def _own(draft: Draft, setting: Setting, budget: int, profile: Profile | None) -> Iterator[Option]:
    """The split that the spec has, where it may not change."""
    found = predict(draft, setting.config, profile)
    if found is not None:
        after = tuple(block.layers[-1] for block in draft.blocks[:-1])
        row = Row(len(draft.blocks), after, found.peak, found.flops / _whole(draft))
        yield Option(row, setting, found.peak <= budget, seconds=found.seconds)


def _whole(draft: Draft) -> int:
    """FLOPs of end-to-end training, an image."""
    return 3 * sum(node.flops for node in draft.graph.nodes)


def _timed(found: Result, draft: Draft, allow: Sequence[str], within: Fit) -> Result:
    """The fastest that fits, and of what was compiled on the way what is worth a row."""
    attempts = Attempts(draft, found.profile)
    own = closed(draft.spec.config)
    after = tuple(block.layers[-1] for block in draft.blocks[:-1])
    config = own if "split" in allow else cut(own, after)
    fastest = Fastest(attempts, config, allow, within)
    best, options = fastest.under(found.budget), list[Option]()
    for each in shown(attempts.all, best, found.budget):
        row = Row(each.blocks, each.after, each.peak, each.found.flops / _whole(draft))
        settings = tuple(knob_settings(own, each.config))
        setting = Setting(len(settings), settings, each.config)
        options.append(Option(row, setting, each.peak <= found.budget, seconds=each.seconds))
    looked = max((len(ways.splits.cuts) for ways in fastest.looked_at), default=found.legal)
    return replace(found, options=tuple(_marked(options)), considered=looked)


def _settings(config: SpecModel, allow: Sequence[str]) -> Iterator[Setting]:
    """The configurations that turns of the allowed knobs make; few of them and cheap ones first."""
    for count, changed in turned(config, [knob for knob in by_cost() if knob.name in allow]):
        yield Setting(count, tuple(knob_settings(config, changed)), changed)


def _marked(options: Sequence[Option]) -> Iterator[Option]:
    """The options with the Pareto front marked, an image at a time."""
    lowest, front = inf, set[int]()
    for option in sorted(options, key=lambda o: (o.cost, o.row.predicted_peak_bytes)):
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

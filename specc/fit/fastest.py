"""The fastest configuration that fits: what the knobs and the cuts can bring, the cheapest first, as it was compiled.

No setting of the knobs is faster than with as few blocks as there can be and nothing computed again, and no number of
blocks faster than at its best without a budget. So settings and numbers are looked at in the order of these bounds,
until none is left below what was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import combinations
from math import inf

from ..diagnostics.notices import progress
from ..spec.knobs import Knob, every
from ..spec.models import SpecModel
from ..spec.sections.split import Budget, Fit, Split
from .attempts import Attempts, Candidate, cut
from .splits import EXACT_CUTS
from .ways import Way, Ways

TRIES = 4  # of one number of blocks, each for a budget that is less by what the last one was too much
VAIN = 3  # numbers of blocks in a row that cannot be faster, after which more are not looked at
LOSSES = 64  # bytes a block: the losses, which costs of blocks leave out
ROWS, FASTER = 8, 4  # of a table: what fits, and what would be faster and does not
WORTH = 0.99  # of the time, for what costs nothing but a line in a spec
SPLIT, AGAIN = "split", "recompute"
ANY = Fit()


@dataclass(frozen=True, slots=True)
class Setting:
    """A configuration that knobs were turned for, without cuts and without recomputation."""

    config: SpecModel
    turns: int
    bound: float  # what it costs at least


class Fastest:
    """The search, under one budget after the other; what was measured and compiled is kept."""

    def __init__(
        self, attempts: Attempts, config: SpecModel, allow: Sequence[str], within: Fit = ANY,
        most: Mapping[int, int] = EXACT_CUTS,
    ) -> None:  # fmt: skip
        self.attempts, self.allow, self.within, self.most = attempts, frozenset(allow), within, most
        knobs = [knob for knob in every() if knob.name in self.allow]
        self.start = quicker(attempts, released(config, knobs), [knob for knob in knobs if not knob.saves])
        self.knobs = [knob for knob in knobs if knob.name != AGAIN and knob.saves]
        self._ways: dict[str, Ways] = {}

    @cached_property
    def settings(self) -> list[Setting]:
        """All settings of the knobs, the fastest first; of equals that with fewer turns."""
        found = []
        for turns, config in turned(self.start, self.knobs):
            least = self.attempts(self._as_few_as_can_be(config))
            if least is not None:
                found.append(Setting(config, turns, least.cost))
        return sorted(found, key=lambda setting: (setting.bound, setting.turns))

    def _as_few_as_can_be(self, config: SpecModel) -> SpecModel:
        """The configuration in as few blocks as there can be, which is as fast as it can be."""
        if SPLIT not in self.allow:
            return config
        return cut(config, self._first.after) if self._first else config

    @cached_property
    def _first(self) -> Way | None:
        ways = self.ways(self.start)
        found = (ways.quickest(blocks) for blocks in self.numbers(ways))
        return next((way for way in found if way is not None), None)

    def numbers(self, ways: Ways) -> Iterator[int]:
        """The numbers of blocks that may be."""
        most = self.within.max_blocks
        return (n for n in ways.numbers if self.within.min_blocks <= n <= (most or n))

    def ways(self, config: SpecModel) -> Ways:
        """The splits of one setting."""
        key = config.model_dump_json()
        if key not in self._ways:
            again = config.changed("train", recompute=True) if AGAIN in self.allow else None
            draft, profile = self.attempts.draft, self.attempts.profile
            self._ways[key] = Ways(draft, config, again, profile, self.most)
        return self._ways[key]

    @property
    def looked_at(self) -> Iterable[Ways]:
        """The splits of all settings that there was reason to look at."""
        return self._ways.values()

    def under(self, budget: int) -> Candidate | None:
        """The fastest that fits; None where nothing does."""
        best: Candidate | None = None
        for setting in self.settings:
            if best is not None and setting.bound >= best.cost:
                break
            best = self._better(setting, budget, best)
        return best

    def _better(self, setting: Setting, budget: int, best: Candidate | None) -> Candidate | None:
        """The fastest that fits of one setting, if it is faster than what is there."""
        if SPLIT not in self.allow:
            fitting = (each for each in self._tried(setting.config, budget) if each.peak <= budget)
            return min((*fitting, *([best] if best else [])), key=lambda each: each.cost, default=None)
        ways, vain = self.ways(setting.config), 0
        for blocks in self.numbers(ways):
            progress(f"looking for the fastest split into {blocks} blocks")
            if (least := ways.quickest(blocks)) is None:
                continue
            hope = setting.bound * least.cost / self._first.cost if self._first else inf
            vain = vain + 1 if best is not None and hope >= best.cost else 0
            if vain == VAIN:
                break
            found = None if vain else self._fitting(setting.config, ways, blocks, budget)
            best = found if best is None or (found and found.cost < best.cost) else best
        return best

    def _fitting(self, config: SpecModel, ways: Ways, blocks: int, budget: int) -> Candidate | None:
        """The fastest split into so many blocks that fits as it is compiled."""
        limit = budget - LOSSES * blocks
        for _ in range(TRIES):
            if (way := ways.best(blocks, limit)) is None:
                return None
            tried = list(self._tried(cut(config, way.after), budget, way.again))
            fitting = [each for each in tried if each.peak <= budget]
            if fitting or not tried:
                return min(fitting, key=lambda each: each.cost, default=None)
            limit -= min(each.peak for each in tried) - budget
        return None

    def _tried(self, config: SpecModel, budget: int, again: bool = False) -> Iterator[Candidate]:
        """As it is, if that is any use, then with recomputation if that may be, until something fits."""
        config = with_budget(config, budget)
        plain = None if again else self.attempts(config)
        if plain is not None:
            yield plain
        if AGAIN in self.allow and (plain is None or plain.peak > budget):
            yield from self.attempts.recomputed(config, budget)


def quicker(attempts: Attempts, config: SpecModel, knobs: Iterable[Knob]) -> SpecModel:
    """The configuration with those knobs turned that make it faster: they take no more memory, so nothing is lost."""
    for knob in knobs:
        before, turned = attempts(cut(config, ())), knob.turned(config)
        after = None if turned is None else attempts(cut(turned, ()))
        if before and after and turned is not None and after.cost < WORTH * before.cost:
            config = turned
    return config


def with_budget(config: SpecModel, budget: int) -> SpecModel:
    """The configuration under another budget."""
    own = config.budget or Budget(memory=budget)
    return config.model_copy(update={"budget": own.model_copy(update={"memory": budget})})


def released(config: SpecModel, knobs: Iterable[Knob]) -> SpecModel:
    """All of the knobs turned back."""
    return reduce(lambda config, knob: knob.released(config), knobs, config)


def turned(config: SpecModel, knobs: Iterable[Knob]) -> Iterator[tuple[int, SpecModel]]:
    """The configurations that turns of the knobs make, and after how many; few of them first."""
    turns = [knob for knob in knobs for _ in range(knob.turns)]
    for chosen in (c for count in range(len(turns) + 1) for c in dict.fromkeys(combinations(turns, count))):
        changed: SpecModel | None = config
        for knob in chosen:
            changed = None if changed is None else knob.turned(changed)
        if changed is not None:
            yield len(chosen), changed


def shown(found: Iterable[Candidate], best: Candidate | None, budget: int) -> list[Candidate]:
    """What is worth a row, the fastest first: what fits, and what would be faster; where nothing fits what comes near.

    Of one setting of the knobs and one number of blocks the fastest that fits, or the lowest.
    """
    kinds: dict[object, Candidate] = {}
    for each in found:
        key = each.blocks, without_split(each.config).model_dump_json()
        other = kinds.get(key)
        kinds[key] = each if other is None or _rank(each, budget) < _rank(other, budget) else other
    fitting = sorted((each for each in kinds.values() if each.peak <= budget), key=lambda each: each.cost)
    faster = [each for each in kinds.values() if each.peak > budget and (best is None or each.cost < best.cost)]
    near = sorted(faster, key=lambda each: each.peak)[: ROWS if best is None else FASTER]
    return sorted([*fitting[:ROWS], *near], key=lambda each: (each.cost, each.blocks))


def _rank(each: Candidate, budget: int) -> tuple[bool, float]:
    fits = each.peak <= budget
    return not fits, each.cost if fits else float(each.peak)


def without_split(config: SpecModel) -> SpecModel:
    """The configuration without cuts and without a budget, as one setting of the knobs."""
    return config.model_copy(update={"split": Split(blocks=1), "budget": None})

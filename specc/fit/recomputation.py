"""`train.recompute: {fit: {}}`: the least recomputation whose predicted peak fits, decided exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..compiler.dependencies import ORDERS
from ..compiler.draft import Draft
from ..compiler.partition import partition
from ..compiler.schedule import scheduled
from ..compiler.units import form_units
from ..compiler.variants import predicted_peak
from ..plan import Backward
from ..plan.flops import flops_again
from ..spec.models import SpecModel
from ..spec.sections.recompute import Recompute
from .labels import Search
from .layer_costs import Array, Measured
from .sums import Model
from .watching import Run, Step

COUNTED = 1 << 12  # of two choices that cost the same, the one that computes fewer parts again
MOST_PARTS = 96  # of a block; of more layers some are looked at together
NEAR = 1 << 17  # the lowest peak is found to this part of it
MOST_TRIED = 8  # limits, where what was added up is not quite what the step takes


@dataclass(frozen=True, slots=True)
class Choice:
    """A configuration and its predicted peak; whether it is surely the least recomputation."""

    config: SpecModel
    peak: int
    exact: bool = True


class Recomputation:
    """What may be computed again under one configuration, whose split is known."""

    def __init__(self, draft: Draft, config: SpecModel) -> None:
        self.draft, self.config = draft, config
        self.steps = steps_of(draft, config)
        self.parts = self.steps[0].parts if self.steps else ()
        self.whole = sum(map(len, self.parts)) == len(draft.graph.spans)  # no layers are looked at together
        self.models = [Model(Measured(step), costs_of(step)) for step in self.steps]

    def under(self, budget: int) -> Choice | None:
        """The least recomputation that fits; None where nothing does."""
        found = [choice for model in self.models if (choice := self._under(model, budget)) is not None]
        if found:
            return min(found, key=lambda each: (each[0], each[1].peak))[1]
        lowest = self.lowest  # what was added up may be too much, where features are read across cuts
        return replace(lowest, exact=False) if lowest.peak <= budget else None

    def _under(self, model: Model, budget: int) -> tuple[int, Choice] | None:
        limit = budget
        for _ in range(MOST_TRIED):
            search = Search(model, limit)
            if search.chosen is None:
                return None
            config = self._named(search.chosen)
            peak = predicted_peak(self.draft, config)
            if peak is not None and peak <= budget:
                surely = search.cost == 0 or (search.exact and self.whole)
                return search.cost, Choice(config, peak, surely)
            limit -= max((peak or budget) - budget, 1)
        return None

    @cached_property
    def lowest(self) -> Choice:
        """The lowest peak there is."""
        return min((self._lowest(model) for model in self.models), key=lambda each: each.peak)

    def _lowest(self, model: Model) -> Choice:
        every = [[(i, i, True) for i in range(size)] for size in model.sizes]
        low, high = model.fixed - 1, model.peak(every)
        while high - low > 1 + high // NEAR:
            middle = (low + high) // 2
            found = Search(model, middle, free=True).chosen
            if found is None:
                low = middle
            else:
                high = min(middle, model.peak(found))
        search = Search(model, high)
        assert search.chosen is not None
        config = self._named(search.chosen)
        return Choice(config, self._peak(config), search.exact and self.whole)

    def _peak(self, config: SpecModel) -> int:
        found = predicted_peak(self.draft, config)
        assert found is not None
        return found

    def _named(self, chosen: list[list[Run]]) -> SpecModel:
        """The choice as a spec says it."""
        layers, entries, everything = self.draft.graph.layers, list[str | list[str]](), self.whole
        for parts, runs in zip(self.parts, chosen, strict=True):
            for first, last, again in runs:
                names = [layers[i].name for i in range(parts[first].start, parts[last].stop)]
                entries += [names[0] if len(names) == 1 else names] if again else []
                everything = everything and again and first == last
        recompute = everything or (Recompute(layers=entries) if entries else False)
        return self.config.changed("train", recompute=recompute)


def steps_of(draft: Draft, config: SpecModel) -> list[Step]:
    """The step of a configuration in each of the orders that it may be taken in."""
    config = config.changed("train", recompute=True)  # what the first block reads again is then given to it
    made = form_units(partition(Draft(draft.spec.with_config(config), (), draft.data, draft.backbone)))
    if made.failed:
        return []
    wanted = config.schedule.order
    names = list(ORDERS) if wanted == "auto" and made.slices > 1 else [wanted if wanted in ORDERS else "slices"]
    parts = []
    for block in made.blocks:
        first, last = made.graph.index[block.layers[0]], made.graph.index[block.layers[-1]]
        spans = [span for span in made.graph.spans if first <= span[0] and span[-1] <= last]
        size = -(-len(spans) // MOST_PARTS)
        several = (spans[i : i + size] for i in range(0, len(spans), size))
        parts.append(tuple(range(own[0].start, own[-1].stop) for own in several))
    return [Step(made.updated(instructions=scheduled(made, ORDERS[name](made))), tuple(parts)) for name in names]


def costs_of(step: Step) -> list[Array]:
    """What each run of each block's parts costs to compute again."""
    return [_costs(step, block) for block in range(len(step.parts))]


def _costs(step: Step, block: int) -> Array:
    """FLOPs of a run up to the last op that keeps something, as often as a step's backwards go through the block."""
    draft, parts = step.draft, step.parts[block]
    often = sum(isinstance(i, Backward) and (i.block, i.slice) == (block, 0) for i in draft.instructions)
    pieces = draft.networks[draft.blocks[block].name].graph.pieces(
        tuple(sum(len(draft.graph.layers[i].nodes) for i in part) for part in parts)
    )
    whole = np.array([piece.flops for piece in pieces], np.int64)
    until = [flops_again(piece, learns=block + i > 0) for i, piece in enumerate(pieces)]
    ends = [any(node.saved.anything for node in piece.simple) for piece in pieces]
    found = np.zeros((len(parts), len(parts)), np.int64)
    for i in range(len(parts)):
        before = cost = 0
        for j in range(i, len(parts)):
            cost = before + until[j] if ends[j] else cost
            before += int(whole[j])
            found[i, j] = cost * often * COUNTED + j - i + 1
    return found


def best(draft: Draft, config: SpecModel, budget: int) -> SpecModel | None:
    """The configuration with the least recomputation whose predicted peak fits the budget; None where nothing fits."""
    found = Recomputation(draft, config).under(budget)
    return None if found is None else found.config

"""What one block adds to the memory of a step, so that a search over cuts need not compile every combination.

A step goes block by block. While block k runs, the peak depends on the blocks of the windows that end there and on
nothing else: everything before has been stepped and freed. So the peak of a plan is what lives throughout, plus what
each cut's auxiliary networks keep throughout, plus the highest slice. The tests hold this to whole plans.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ..backbone.graph import BackboneGraph
from ..backbone.ops import numel
from ..plan import Block, Instruction, Network, Unit
from ..spec.models import SpecModel
from .dependencies import hazards, tasks
from .draft import Draft
from .memory import Simulation, resident_bytes, step_of
from .schedule import schedule
from .units import build_unit, sites_at

START = -1  # the position before the first layer


@dataclass(frozen=True, slots=True)
class Slice:
    """One block in its window: its highest point above what is resident, its cut's resident bytes, its FLOPs."""

    local: int
    auxiliary: int
    flops: int


class Slices:
    """Measures slices of one backbone under one configuration; every result is kept."""

    def __init__(self, draft: Draft, config: SpecModel) -> None:
        self.draft, self.config, self.graph = draft, config, draft.graph
        self.later = without_skips(config)
        self.window = max(int(level.window) for level in config.levels)
        self.end = len(self.graph.layers) - 1
        self._cache: dict[tuple[int, ...], Slice | None] = {}

    def base(self) -> int:
        """Bytes that live throughout whatever the cuts: the backbone's state and the batch."""
        whole = Network("block0", "", self.graph.part(0, self.end), "block0")
        assert self.draft.info.shape is not None
        batch = self.config.data.batch_size
        return resident_bytes(self.config, [whole]) + batch * (4 * numel(self.draft.info.shape) + 8)

    def measure(self, boundaries: tuple[int, ...]) -> Slice | None:
        """The slice of the last of the blocks between successive boundaries (positions of layers, `START` first)."""
        boundaries = boundaries[-self.window - 1 :]
        if boundaries not in self._cache:
            self._cache[boundaries] = self._measure(boundaries)
        return self._cache[boundaries]

    def _measure(self, boundaries: tuple[int, ...]) -> Slice | None:
        ends = [*self._lead(boundaries[0]), *boundaries, *self._trail(boundaries[-1])]
        target = len(ends) - 2 - len(self._trail(boundaries[-1]))
        config = self.config if ends[0] == START else self.later
        only = {target} if self.window == 1 else set(range(len(ends)))
        draft = mini_draft(self.draft, config, self.graph, ends, only)
        if draft is None:
            return None
        draft = schedule(draft.having(tasks=hazards(list(tasks(draft)))))
        simulation = Simulation(step_of(draft), source=draft.blocks[0].input if ends[0] != START else None)
        first, last = _span(draft.instructions, target)
        moments = simulation.run(last).timeline
        local = max(m.bytes for m in moments[first:last]) - simulation.resident
        own = [n for n in draft.networks.values() if n.prefix.startswith(f"unit{target}.")]
        return Slice(local, resident_bytes(self.config, own), _flops(draft, target))

    def _lead(self, first: int) -> list[int]:
        """One more block before, which sends the gradients that a window leaves behind; a single window leaves none."""
        if first == START or self.window == 1:
            return []
        legal = [START, *(self.graph.index[name] for name in self.graph.cuts)]
        return [max(c for c in legal if c < first)]

    def _trail(self, last: int) -> list[int]:
        """One more block after: EMA links copy from it, and for its window the last block stays alive."""
        if last == self.end:
            return []
        return [min([c for c in map(self.graph.index.__getitem__, self.graph.cuts) if c > last], default=self.end)]


def without_skips(config: SpecModel) -> SpecModel:
    """The configuration for blocks further down: skipped units are counted from the first block."""
    levels = [level.model_copy(update={"skip": [], "units": []}) for level in config.levels]
    return config.model_copy(update={"levels": levels})


def mini_draft(draft: Draft, config: SpecModel, graph: BackboneGraph, ends: list[int], only: set[int]) -> Draft | None:
    """A draft of the blocks between successive boundaries, with the units that end with one of the blocks `only`.

    None where such a unit cannot stand, for example because an EMA link finds nothing to copy.
    """
    blocks, networks = [], {}
    for i, (before, last) in enumerate(pairwise(ends)):
        part = graph.part(before + 1, last)
        names = tuple(layer.name for layer in graph.layers[before + 1 : last + 1])
        blocks.append(Block(i, f"block{i}", names, part.input, part.shape))
        pieces = graph.piece_sizes(before + 1, last) if config.train.recompute else ()
        networks[f"block{i}"] = Network(f"block{i}", "", part, f"block{i}", pieces)
    count = len(blocks) if ends[-1] == len(graph.layers) - 1 else len(blocks) + 1
    spec = draft.spec.with_config(config)
    mini = Draft(spec, (), draft.data, graph, tuple(blocks), networks)
    units: list[Unit] = []
    for site in sites_at(mini, count):
        if site.end.index not in only:
            continue
        units.append(build_unit(site))
        networks |= site.networks
        if any(found.is_error for found in site.found):
            return None
    return Draft(spec, (), draft.data, graph, tuple(blocks), networks, tuple(u for u in units if u.heads))


def _span(instructions: tuple[Instruction, ...], target: int) -> tuple[int, int]:
    """The instructions from the forward of block `target` to the next block's."""
    starts = {i.block: n for n, i in enumerate(instructions) if i.kind == "forward"}
    return starts[target], starts.get(target + 1, len(instructions))


def _flops(draft: Draft, target: int) -> int:
    """FLOPs an image of everything that happens because of block `target`: its passes and its units' networks."""
    from .flops import instruction_flops

    units = {unit.name for unit in draft.units if unit.end == target}
    return sum(
        instruction_flops(i, draft.networks, draft.units)
        for i in draft.instructions
        if i.block == target or i.unit in units
    )

"""What one block adds to the memory of a step, so that a search over cuts need not compile every combination.

A step goes block by block. While block k runs, the peak depends on the blocks of the windows that end there and on
nothing else: everything before has been stepped and freed. So the peak of a plan is what lives throughout, plus what
each cut's auxiliary networks keep throughout, plus the highest slice. The tests hold this to whole plans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from ..plan import Block, Instruction, Network, Unit
from ..spec.models import SpecModel
from .allocator import Allocator, Storage
from .dependencies import hazards, tasks
from .draft import Draft
from .flops import instruction_flops
from .memory import Simulation, batch_bytes, resident_bytes, step_of
from .schedule import schedule
from .units import build_unit, sites_at

SHORTENED = "SPC427"  # a link that depends on how long the next block is: a search leaves such splits out
START = -1  # the position before the first layer

Boundaries = tuple[int, ...]  # where successive blocks begin and end: positions of layers, `START` first
Likeness = tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """One block in its window: the peaks of its instructions above what is resident, its cut's resident bytes, FLOPs.

    Two slices that are `alike` have the same instructions, but for the sizes of blocks.
    """

    peaks: tuple[int, ...]
    alike: Likeness
    auxiliary: int
    flops: int

    @property
    def local(self) -> int:
        """The highest point."""
        return max(self.peaks)


class Slices:
    """Measures slices of one backbone under one configuration; every result is kept."""

    def __init__(self, draft: Draft, config: SpecModel) -> None:
        self.draft, self.config, self.graph = draft, config, draft.graph
        self.later = without_numbers(config)
        self.window = max(int(level.window) for level in config.levels)
        self.end = len(self.graph.layers) - 1
        self.legal = [self.graph.index[name] for name in self.graph.places]
        self._gap = max((link.layers for link in config.ema_links), default=1)  # a block is copied from as a whole
        self._leads = self.window if self.window > 1 else int(bool(config.ema_links))
        self._cache: dict[tuple[Boundaries, bool], Slice | None] = {}
        self._networks: dict[tuple[int, int], Network] = {}

    def base(self) -> int:
        """Bytes that live throughout whatever the cuts: the backbone's state and the batch."""
        whole = Network("block0", "", self.graph.part(0, self.end), "block0")
        assert self.draft.info.shape is not None
        return resident_bytes(self.config, [whole]) + batch_bytes(self.config, self.draft.info.shape)

    def measure(self, boundaries: Boundaries, last: bool = False) -> Slice | None:
        """The slice of the last of the blocks between successive boundaries; None where a unit cannot stand.

        With `last`, as if the backbone ended there.
        """
        key = boundaries[-self.window - 1 :], last or boundaries[-1] == self.end
        if key not in self._cache:
            self._cache[key] = None
            self._measure(*key)
        return self._cache[key]

    @cached_property
    def standing(self) -> list[int]:
        """The legal cuts where the units of every level can stand: fit to be a neighbour that one need not think of."""
        return [cut for cut in self.legal if self._stands(cut)]

    def _stands(self, cut: int) -> bool:
        earlier = [c for c in self.legal if c < cut][: self.window - 1]
        ends = [START, *earlier, cut, self.end]
        return self._draft(self.later, ends, {len(ends) - 3}) is not None

    def _measure(self, boundaries: Boundaries, last: bool) -> None:
        """Simulate a few blocks, which tells of the wanted slice and mostly of another one on the way."""
        ends = [*self._lead(boundaries[0]), *boundaries, *([] if last else [self.end])]
        target = len(ends) - 2 - (not last)
        only = {target - 1, target} if self.window == 1 else set(range(len(ends)))
        draft = self._draft(self.config if boundaries[0] == START else self.later, ends, only)
        if draft is None:
            return
        draft = schedule(draft.having(tasks=hazards(list(tasks(draft)))))
        spans = _spans(draft.instructions)
        simulation = self._simulation(draft, target)
        timeline = simulation.run(spans[target][1]).timeline
        alone = boundaries[0] == START or self.window == 1
        for block in range(target if alone else self.window, target + 1):
            first, after = spans[block]
            peaks = tuple(m.bytes - simulation.resident for m in timeline[first:after])
            alike = tuple(_kind(i, block) for i in draft.instructions[first:after])
            own = [n for n in draft.networks.values() if n.prefix.startswith(f"unit{block}.")]
            key = boundaries if block == target else tuple(ends[block - self.window + 1 : block + 2])
            found = Slice(peaks, alike, resident_bytes(self.config, own), _flops(draft, block))
            self._cache[key, last and block == target] = found

    def _simulation(self, draft: Draft, target: int) -> Simulation:
        """Of the blocks up to the target."""
        later = {block.name for block in draft.blocks[target + 1 :]}
        step = step_of(draft)
        step = replace(step, networks={k: n for k, n in step.networks.items() if k not in later})
        first = draft.blocks[0]
        simulation = Simulation(step, source=first.input if first.layers[0] != self.graph.layers[0].name else None)
        simulation.memory = Total()
        return simulation

    def _lead(self, first: int) -> list[int]:
        """Blocks before, which send the gradients that a window leaves behind; a single window leaves none.

        Where there are EMA links, the unit before must be there to see whether its links fit into the next block.
        """
        cuts: list[int] = []
        while first != START and len(cuts) < self._leads:
            first = next(self.before(first), START)
            cuts.append(first)
        return cuts[::-1]

    def before(self, cut: int) -> Iterator[int]:
        """Cuts before one, the nearest first, whose units can surely stand there."""
        return (other for other in reversed(self.standing) if other <= cut - self._gap)

    def after(self, cut: int) -> Iterator[int]:
        """Cuts after one, likewise."""
        return (other for other in self.standing if other >= cut + self._gap)

    def _network(self, number: int, before: int, last: int) -> Network:
        key = before, last
        if key not in self._networks:
            pieces = self.graph.piece_sizes(before + 1, last) if self.config.train.recompute else ()
            self._networks[key] = Network("", "", self.graph.part(before + 1, last), "", pieces)
        return replace(self._networks[key], name=f"block{number}", group=f"block{number}")

    def _draft(self, config: SpecModel, ends: list[int], only: set[int]) -> Draft | None:
        """A draft of the blocks between successive boundaries, with the units that end with one of the blocks `only`.

        None where such a unit cannot stand, for example because an EMA link finds nothing to copy, or not enough.
        """
        blocks, networks = [], {}
        for i, (before, last) in enumerate(pairwise(ends)):
            network = networks[f"block{i}"] = self._network(i, before, last)
            names = tuple(layer.name for layer in self.graph.layers[before + 1 : last + 1])
            blocks.append(Block(i, network.name, names, network.graph.input, network.graph.shape))
        spec = self.draft.spec.with_config(config)
        mini = Draft(spec, (), self.draft.data, self.graph, tuple(blocks), networks)
        units: list[Unit] = []
        for site in sites_at(mini, len(blocks)):
            if site.end.index not in only:
                continue
            units.append(build_unit(site))
            networks |= site.networks
            if any(found.is_error or found.code == SHORTENED for found in site.found):
                return None
        return mini.having(networks=networks, units=tuple(unit for unit in units if unit.heads))


class Total(Allocator):
    """Counts no categories, which is quicker."""

    def begin(self) -> None:
        """Start watching for the highest point anew."""
        self.highest = self.total

    def new(self, size: int, category: str, width: int = 4) -> Storage:
        """A storage of `size` bytes with one holder."""
        self.total += size
        if self.total > self.highest:
            self.highest = self.total
        return Storage(size, category, width)

    def drop(self, *storages: Storage) -> None:
        """One holder less; the last one frees the bytes."""
        for storage in storages:
            storage.holders -= 1
            if storage.holders == 0:
                self.total -= storage.bytes


def without_numbers(config: SpecModel) -> SpecModel:
    """The configuration for blocks further down: units that are named by their number are the first ones."""
    levels = [level.model_copy(update={"skip": [], "units": []}) for level in config.levels]
    return config.model_copy(update={"levels": levels})


def _spans(instructions: tuple[Instruction, ...]) -> dict[int, tuple[int, int]]:
    """For each block, the instructions from its forward to the next block's."""
    starts = {i.block: n for n, i in enumerate(instructions) if i.kind == "forward"}
    return {block: (first, starts.get(block + 1, len(instructions))) for block, first in starts.items()}


def _kind(i: Instruction, block: int) -> tuple[object, ...]:
    """What an instruction does, as seen from a block."""
    here = tuple(n - block if n >= 0 else None for n in (i.block, i.start))
    return i.kind, *here, i.unit.partition(".")[2], i.head, i.retain, i.needs_grad, i.input_grad


def _flops(draft: Draft, target: int) -> int:
    """FLOPs an image of everything that happens because of block `target`: its passes and its units' networks."""
    units = {unit.name for unit in draft.units if unit.end == target}
    return draft.spec.config.views * sum(
        instruction_flops(i, draft.networks, draft.units)
        for i in draft.instructions
        if i.block == target or i.unit in units
    )

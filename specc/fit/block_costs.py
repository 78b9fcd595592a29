"""What one block adds to the memory of a step, so that a search over cuts need not compile every combination.

A step goes block by block. While block k runs, the peak depends on the blocks of the windows that end there and on
nothing else: everything before has been stepped and freed. So the peak of a plan is what lives throughout, plus what
each cut's auxiliary networks keep throughout, plus the highest block. The tests hold this to whole plans.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise

from ..compiler.dependencies import by_blocks
from ..compiler.draft import Draft
from ..compiler.recomputation import computed_again, pieces_of
from ..compiler.schedule import scheduled
from ..compiler.units import build_unit, sites_at
from ..diagnostics.notices import progress
from ..memory.prediction import Prediction, batch_bytes, resident_bytes
from ..plan import Backward, Block, Branch, BranchBackward, Forward, Head, Instruction, Network, Unit
from ..plan.flops import flops_of
from ..spec.models import SpecModel
from .likeness import Structure
from .remembering import CachingStep, HeadCost, SegmentAllocator
from .roles import Roles, with_one_weight

SHORTENED = "SPC427"  # a link that depends on how long the next block is: a search leaves such splits out
START = -1  # the position before the first layer

Boundaries = tuple[int, ...]  # where successive blocks begin and end: positions of layers, `START` first
NOWHERE = 1 << 30  # the segment of what is no pass
Kind = tuple[object, ...]  # what an instruction does, as seen from the block that is measured
Peaks = Mapping[int, int]  # the highest points of an instruction above what is resident, by segment


@dataclass(frozen=True, slots=True)
class BlockCost:
    """One block in its window: what its instructions reach, and its cut's resident bytes and FLOPs.

    A forward or backward pass reaches something in each segment of its block, other instructions in none. Two
    costs of the same kinds have the same instructions, but for the sizes of blocks.
    """

    kinds: tuple[Kind, ...]
    peaks: tuple[Peaks, ...]
    auxiliary: int
    flops: int

    @property
    def local(self) -> int:
        """The highest point."""
        return max(max(peaks.values()) for peaks in self.peaks)

    def moved(self, places: int) -> BlockCost:
        """The same between places further down; what is no pass stays without one."""
        peaks = (p if NOWHERE in p else {s + places: peak for s, peak in p.items()} for p in self.peaks)
        return replace(self, peaks=tuple(peaks))


class BlockCosts:
    """Measures the blocks of one backbone under one configuration; every result is kept.

    The segments of a block lie between the cuts that a search looks at.
    """

    def __init__(self, draft: Draft, config: SpecModel, cuts: Sequence[int] | None = None) -> None:
        self.draft, self.config, self.graph = draft, config, draft.graph
        self.roles = Roles(config)
        self.window = self.roles.window
        self.end = len(self.graph.layers) - 1
        self.legal = [self.graph.index[name] for name in self.graph.cut_choices]
        self.places = (START, *(self.legal if cuts is None else cuts), self.end)
        self.gap = max((link.layers for link in config.ema_links), default=1)  # a block is copied from as a whole
        self._leads = max(self.window - 1, int(bool(config.ema_links)))
        self._cache: dict[Hashable, BlockCost | None] = {}
        self.structure = Structure(self.graph, config, self.places)
        self._networks: dict[tuple[int, int], Network] = {}
        self._again = computed_again(draft.updated(spec=draft.spec.with_config(config)))
        self._heads: dict[Hashable, HeadCost] = {}

    def base(self) -> int:
        """Bytes that live throughout whatever the cuts: the backbone's state and the batch."""
        whole = Network("block0", "", self.graph.part(0, self.end), "block0")
        return resident_bytes(self.config, [whole]) + batch_bytes(self.config, self.draft.info)

    def measure(self, boundaries: Boundaries, number: int, count: int) -> BlockCost | None:
        """The cost of block `number` of `count`; None where a unit cannot stand.

        The boundaries are those of its window, or of more blocks before it.
        """
        boundaries = boundaries[-self.window - 1 :]
        key = self._key(boundaries, number, count)
        if key not in self._cache:
            self._cache[key] = None
            progress(f"looking for splits: {len(self._cache)} blocks measured")
            self._measure(boundaries, number, count)
        found = self._cache[key]
        return None if found is None else found.moved(self._place(boundaries[-1]))

    def _key(self, boundaries: Boundaries, number: int, count: int) -> Hashable:
        """What a cost depends on: what the layers are, not which, and of the units' numbers only their roles."""
        ends = [*self._lead(boundaries[0], number - len(boundaries) + 2), *boundaries]
        follow = self._follow(boundaries[-1], number, count)
        return self.structure.of(ends, follow), len(ends), self.roles.setting(number, count)

    def _place(self, cut: int) -> int:
        return bisect_left(self.places, cut)

    @cached_property
    def standing(self) -> list[int]:
        """The legal cuts where the units of every level can stand: fit to be a neighbour that one need not think of."""
        return [cut for cut in self.legal if self._stands(cut)]

    def _stands(self, cut: int) -> bool:
        return self.units_at(cut) is not None

    def units_at(self, cut: int) -> Draft | None:
        """A draft of the whole network with no units but those that end at a cut; None where they cannot stand."""
        earlier = [c for c in self.legal if c < cut][: self.window - 1]
        ends = [START, *earlier, cut, self.end]
        config = with_one_weight(self.config).changed("train", zero_weight_heads="keep")
        far = 1000 * self.window  # beyond all units that have a number in the spec
        return self._draft(config, ends, {len(ends) - 3}, far, 2 * far)

    def _measure(self, boundaries: Boundaries, number: int, count: int) -> None:
        """Simulate a few blocks, which tells of the wanted one and mostly of another one on the way."""
        lead = self._lead(boundaries[0], number - len(boundaries) + 2)
        ends = [*lead, *boundaries, *self._follow(boundaries[-1], number, count)]
        target = len(lead) + len(boundaries) - 2
        only = {target - 1, target} if self.window == 1 else set(range(len(ends)))
        draft = self._draft(self.config, ends, only, number - target, count)
        if draft is None:
            return
        draft = draft.updated(instructions=scheduled(draft, by_blocks(draft)))
        spans, silent = _spans(draft.instructions), SILENT + ("step",) * self.config.train.steps_in_place
        memory = SegmentAllocator(self._segments)
        prediction = self._prediction(draft, target, memory, number - target, count)
        prediction.run(spans[target][1], None if draft.from_images else draft.blocks[0].input)
        for block in range(min(self.window, target), target + 1):
            first, after = spans[block]
            moments = zip(draft.instructions[first:after], memory.moments[first:after], strict=True)
            works = [(_kind(i, block), _above(i, m, prediction.resident)) for i, m in moments if i.kind not in silent]
            own = [n for n in draft.networks.values() if n.prefix.startswith(f"unit{block}.")]
            window = boundaries if block == target else tuple(ends[block - self.window + 1 : block + 2])
            kinds, peaks = zip(*works, strict=True)
            found = BlockCost(kinds, peaks, resident_bytes(self.config, own), _flops(draft, block))
            key = self._key(window, number - target + block, count)
            self._cache[key] = found.moved(-self._place(window[-1]))

    def _prediction(self, draft: Draft, target: int, memory: SegmentAllocator, number: int, count: int) -> Prediction:
        """Of the blocks up to the target; the first is number `number` of `count`."""
        places = {u.name: (draft.blocks[u.end].layers[-1], self.roles.role(number + u.end, count)) for u in draft.units}
        later = {block.name for block in draft.blocks[target + 1 :]}
        networks = {name: network for name, network in draft.networks.items() if name not in later}
        kind = partial(CachingStep, memory=memory, known=self._heads, places=places)
        return Prediction(draft.updated(networks=networks).plan, draft.spec.device, memory, kind)

    @cached_property
    def _segments(self) -> dict[str, int]:
        """The segment of every op, by the place where it ends."""
        ends = self.places[1:]
        return {
            node.name: 1 + bisect_left(ends, i)
            for i in range(len(self.graph.layers))
            for node in self.graph.part(i, i).simple
        }

    def _lead(self, first: int, most: int) -> list[int]:
        """Blocks before, which send the gradients that a window leaves behind; a single window leaves none.

        Where there are EMA links, the unit before must be there to see whether its links fit into the next block.
        """
        cuts: list[int] = []
        while first != START and len(cuts) < min(self._leads, most):
            first = next(self.before(first), START)
            cuts.append(first)
        return cuts[::-1]

    def _follow(self, last: int, number: int, count: int) -> list[int]:
        """The end of the block after the last, if there is one, which decides what is kept; then that of the rest."""
        if number == count - 1:
            return []
        after = self.end if number == count - 2 else next(self.after(last), self.end)
        return [after] if after == self.end else [after, self.end]

    def before(self, cut: int) -> Iterator[int]:
        """Cuts before one, the nearest first, whose units can surely stand there."""
        return (other for other in reversed(self.standing) if other <= cut - self.gap)

    def after(self, cut: int) -> Iterator[int]:
        """Cuts after one, likewise."""
        return (other for other in self.standing if other >= cut + self.gap)

    def _network(self, number: int, before: int, last: int) -> Network:
        key = before, last
        if key not in self._networks:
            pieces = pieces_of(self.graph, self._again, before + 1, last)
            self._networks[key] = Network("", "", self.graph.part(before + 1, last), "", pieces)
        return replace(self._networks[key], name=f"block{number}", group=f"block{number}")

    def _draft(self, config: SpecModel, ends: list[int], only: set[int], first: int, count: int) -> Draft | None:
        """A draft of the blocks between successive boundaries, with the units that end with one of the blocks `only`.

        The first of them is number `first` of `count`. None where such a unit cannot stand, for example because an EMA
        link finds nothing to copy, or not enough.
        """
        blocks, networks = [], {}
        for i, (before, last) in enumerate(pairwise(ends)):
            network = networks[f"block{i}"] = self._network(i, before, last)
            names = tuple(layer.name for layer in self.graph.layers[before + 1 : last + 1])
            blocks.append(Block(i, network.name, names, network.graph.input, network.graph.shape))
        spec = self.draft.spec.with_config(config)
        mini = Draft(spec, (), self.draft.data, self.graph, tuple(blocks), networks)
        units: list[Unit] = []
        for site in sites_at(mini, first, count):
            if site.end.index not in only:
                continue
            if blocks[site.end.index].layers[-1] == self.graph.layers[-1].name:  # there is no room for more blocks
                site.position = replace(site.position, count=site.position.number + 1)
            units.append(build_unit(site))
            networks |= site.networks
            if any(found.is_error or found.code == SHORTENED for found in site.found):
                return None
        return mini.updated(networks=networks, units=tuple(unit for unit in units if unit.heads))


PASSES = ("forward", "backward")
SILENT = ("free", "ema_update", "load", "evict")  # they allocate nothing, or no more than what follows them


def _above(i: Instruction, moment: Mapping[int, int], resident: int) -> Peaks:
    """The highest points above what is resident; only a pass goes from segment to segment."""
    if i.kind not in PASSES:
        return {NOWHERE: max(moment.values()) - resident}
    return {segment: peak - resident for segment, peak in moment.items() if segment}


def _spans(instructions: tuple[Instruction, ...]) -> dict[int, tuple[int, int]]:
    """For each block, the instructions from its forward to the next block's."""
    starts = {i.block: n for n, i in enumerate(instructions) if isinstance(i, Forward) and i.slice == 0}
    return {block: (first, starts.get(block + 1, len(instructions))) for block, first in starts.items()}


def _kind(i: Instruction, block: int) -> Kind:
    """What an instruction does, as seen from a block."""
    match i:
        case Forward():
            return i.kind, i.block - block, None, i.graph is not None, i.leaf is not None, i.slice
        case Backward():
            return i.kind, i.block - block, i.start - block, i.retain, i.slice
        case Head() | Branch() | BranchBackward():
            return i.kind, None, None, i.about.partition(".")[2], i.slice
    return i.kind, None, i.slice


def _flops(draft: Draft, target: int) -> int:
    """FLOPs an image of everything that happens because of block `target`: its passes and its units' networks."""
    units = {unit.name for unit in draft.units if unit.end == target}
    own = [i for i in draft.instructions if getattr(i, "block", None) == target or getattr(i, "unit", None) in units]
    return draft.spec.config.views * flops_of(own, draft.networks, draft.units)

"""A step watched layer by layer, under patterns of what is computed again: what a search adds up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..compiler.draft import Draft
from ..compiler.recomputation import pieces_of
from ..graph.node import sub_nodes
from ..memory.prediction import Prediction
from ..memory.storage import Allocator
from ..plan import Backward, Forward, Free

Key = tuple[bool, int]  # whether it is computed again, and which part of the backbone works
Run = tuple[int, int, bool]  # parts first..last of a block, and whether they are computed again together
OUTSIDE = -1  # the part of what belongs to none


@dataclass(slots=True)
class Seen:
    """One instruction: the bytes alive when it began, at its highest point, and by what worked then."""

    start: int
    highest: int
    entered: dict[Key, int] = field(default_factory=dict)  # alive when a part began
    peaks: dict[Key, int] = field(default_factory=dict)


class Watch(Allocator):
    """Notes when the parts of the backbone begin to work, and the most that is alive meanwhile."""

    def __init__(self, parts: Mapping[str, int]) -> None:
        super().__init__()
        self.parts, self.seen = parts, list[Seen]()
        self._key, self._back = (False, OUTSIDE), OUTSIDE

    def begin(self) -> None:
        """The next instruction."""
        self.seen.append(Seen(self.total, self.total))
        self._key = False, OUTSIDE

    def at(self, op: str) -> None:
        """The op that works from here on."""
        self._enter((self._key[0], self.parts.get(op, OUTSIDE)))

    def again(self, on: bool) -> None:
        """A part's backward computes something again, or goes on."""
        if on:
            self._back = self._key[1]
        self._key = on, OUTSIDE
        if not on:
            self._enter((False, self._back))

    def _enter(self, key: Key) -> None:
        self._key, seen = key, self.seen[-1]
        seen.entered.setdefault(key, self.total)
        seen.peaks[key] = max(seen.peaks.get(key, 0), self.total)

    def take(self, size: int, category: str) -> None:
        """So many bytes more."""
        self.total += size
        if self.seen:
            seen = self.seen[-1]
            self.highest = seen.highest = max(seen.highest, self.total)
            seen.peaks[self._key] = max(seen.peaks.get(self._key, 0), self.total)

    def give(self, size: int, category: str) -> None:
        """So many bytes less."""
        self.total -= size


@dataclass(frozen=True, slots=True)
class Pass:
    """A block's forward of one slice: where it stands in the step, and where what it kept is gone."""

    block: int
    instruction: int
    last: int  # its last backward; its own place where there is none

    def alive(self, instruction: int) -> bool:
        """Whether what it kept is there throughout an instruction of others."""
        return self.instruction < instruction <= self.last


@dataclass(frozen=True)
class Step:
    """A scheduled step whose blocks are made of parts, ranges of layers that are computed again together or not."""

    draft: Draft
    parts: tuple[tuple[range, ...], ...]  # of each block

    @property
    def passes(self) -> list[Pass]:
        """The forwards."""
        instructions = self.draft.instructions
        last = {(i.block, i.slice): n for n, i in enumerate(instructions) if isinstance(i, Backward)}
        return [
            Pass(i.block, n, last.get((i.block, i.slice), n))
            for n, i in enumerate(instructions)
            if isinstance(i, Forward)
        ]

    def quiet_after(self, instruction: int) -> int:
        """The next instruction that is no mere letting go; their number where there is none."""
        rest = enumerate(self.draft.instructions[instruction + 1 :], instruction + 1)
        return next((n for n, i in rest if not isinstance(i, Free)), len(self.draft.instructions))

    def watched(self, runs: Sequence[Sequence[Run]]) -> list[Seen]:
        """The step where each block consists of such runs; the last entry is after the end."""
        networks = dict(self.draft.networks)
        for block, parts, own in zip(self.draft.blocks, self.parts, runs, strict=True):
            again = [range(parts[i].start, parts[j].stop) for i, j, twice in own if twice]
            pieces = pieces_of(self.draft.graph, again, parts[0].start, parts[-1].stop - 1)
            networks[block.name] = replace(networks[block.name], pieces=pieces)
        watch = Watch(self._places)
        prediction = Prediction(self.draft.updated(networks=networks).plan, self.draft.spec.device, watch)
        prediction.run()
        watch.begin()
        return watch.seen

    @property
    def _places(self) -> dict[str, int]:
        """The part, counted from the start of its block, of every op."""
        layers = self.draft.graph.layers
        return {
            each.name: i
            for parts in self.parts
            for i, part in enumerate(parts)
            for layer in part
            for node in layers[layer].nodes
            for each in sub_nodes(node)
        }


def patterns(sizes: Sequence[int]) -> Iterator[list[list[Run]]]:
    """Ways to divide blocks of so many parts, in which every part stands once beside whatever may stand beside it."""
    yield [[(0, size - 1, False)] for size in sizes]
    yield [[(0, size - 1, True)] for size in sizes]
    for kinds in ((False, True), (False, False, True, True)):
        for shift in range(len(kinds)):
            yield [_runs([kinds[(i + shift) % len(kinds)] for i in range(size)]) for size in sizes]


def _runs(kinds: Sequence[bool]) -> list[Run]:
    """Neighbours of one kind as one run.

    >>> _runs([False, True, True])
    [(0, 0, False), (1, 2, True)]
    """
    starts = [i for i, kind in enumerate(kinds) if i == 0 or kind != kinds[i - 1]]
    ends = [*(start - 1 for start in starts[1:]), len(kinds) - 1]
    return [(first, last, kinds[first]) for first, last in zip(starts, ends, strict=True)]

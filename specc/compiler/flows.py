"""Where the gradients of windows pass: through which blocks, in at which of their outputs, out at which inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..graph.crossing import learning, reached
from ..graph.graph import INPUT, Graph
from ..plan import Block, Network, Unit


@dataclass(frozen=True, slots=True)
class Passage:
    """One gradient on its way through a block."""

    roots: tuple[str, ...]  # the nodes at which it comes in, the block's last one first
    outlets: frozenset[str] = frozenset()  # inputs of the block's graph at which it goes on to a block before


@dataclass
class Flows:
    """The gradients of all windows of a network that is cut into blocks."""

    blocks: Sequence[Block]
    networks: Mapping[str, Network]
    units: Sequence[Unit]
    last_end: dict[int, int] = field(default_factory=dict)  # of the windows that begin with a block the last's end
    passages: dict[int, dict[int, Passage]] = field(default_factory=dict)  # by block, and by the window's first one

    def __post_init__(self) -> None:
        self.made = {INPUT: -1}  # the block that a value is made in
        for block in self.blocks:
            graph = self.graph(block.index)
            self.made |= dict.fromkeys((graph.output, *graph.gives), block.index)
            self.passages[block.index] = {}
        for unit in self.units:
            self.last_end[unit.start] = max(unit.end, self.last_end.get(unit.start, 0))
        for start in sorted(self.last_end):
            self._window(start)

    def graph(self, block: int) -> Graph:
        """The graph of a block."""
        return self.networks[self.blocks[block].name].graph

    def source(self, block: int, name: str) -> tuple[int, str]:
        """The block that makes an input of a block's graph, and the skip that it is there; none where it is all."""
        if name == INPUT:
            return block - 1, ""
        made = self.made[name]
        return made, self.skip(made, name)

    def skip(self, block: int, name: str) -> str:
        """What a value that a block makes is called beside the block's own."""
        return "" if name == self.graph(block).output else name

    def starts(self, block: int) -> list[int]:
        """The windows whose gradient passes through a block, by their first block."""
        return list(self.passages.get(block, ()))

    def enters(self, block: int, name: str) -> bool:
        """Whether a gradient comes into a block at one of its values."""
        return any(name in passage.roots for passage in self.passages[block].values())

    def leaves(self, block: int, name: str) -> bool:
        """Whether a gradient goes out of a block at one of the inputs of its graph."""
        return any(name in passage.outlets for passage in self.passages[block].values())

    def _window(self, start: int) -> None:
        """A gradient ends where nobody before has something to train: there nobody would use it."""
        end = self.last_end[start]
        learns = self._learning(start, end)
        wanted = {name for unit in self.units if unit.start == start for name in self._read(unit)}
        for block in range(end, start - 1, -1):
            graph = self.graph(block)
            roots = tuple(name for name in (graph.output, *graph.gives) if name in wanted and name in learns)
            if roots:
                inputs = {name: self._named(block, name) for name in self._inputs(graph, roots)}
                outlets = frozenset(name for name, value in inputs.items() if value in learns)
                self.passages[block][start] = Passage(roots, outlets)
                wanted |= {inputs[name] for name in outlets}

    def _read(self, unit: Unit) -> Iterator[str]:
        """What a unit's heads read."""
        yield unit.read or self.graph(unit.end).output

    def _named(self, block: int, name: str) -> str:
        """What an input of a block's graph is called where it is made."""
        return self.graph(block - 1).output if name == INPUT and block else name

    def _learning(self, start: int, end: int) -> set[str]:
        """The values of a window that depend on something to train in it."""
        found: set[str] = set()
        for block in range(start, end + 1):
            graph = self.graph(block)
            inputs = {name: self._named(block, name) for name in (INPUT, *(skip.name for skip in graph.reads))}
            given = [name for name, value in inputs.items() if value in found]
            if not (graph.reads or graph.gives):
                found |= {graph.output} if graph.trained or given else set()
            else:
                found |= learning(graph.nodes, given) & {graph.output, *graph.gives}
        return found

    def _inputs(self, graph: Graph, roots: Iterable[str]) -> Iterator[str]:
        """The inputs of a block's graph that a gradient at some of its values reaches."""
        if not (graph.reads or graph.gives):
            yield INPUT
        else:
            found = reached(graph.nodes, roots)
            yield from (name for name in (INPUT, *(skip.name for skip in graph.reads)) if name in found)

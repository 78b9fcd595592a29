"""Graphs of ops: the backbone, and every auxiliary network, with shapes inferred while they are built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated

from ..language.names import Value
from .choices import chosen, in_order, parted
from .crossing import alive, complete, last_readers
from .layout import Layout, Places, layouts
from .node import IMAGES as IMAGES
from .node import IfAny as IfAny
from .node import Layer as Layer
from .node import Node as Node
from .node import Skip as Skip
from .node import rewire, sub_nodes
from .ops import INPUT as INPUT
from .ops import DType, Shape


@dataclass(frozen=True)
class Graph:
    """Ops in executable order from one input to one output, the last node; any of them may read the images too.

    Beside these a block may read what crosses the cut before it (`reads`), and give what crosses a cut after it.
    """

    input: Shape
    nodes: tuple[Node, ...]
    dtype: DType = "float32"  # of the input
    reads: Annotated[tuple[Skip, ...], IfAny] = ()
    gives: Annotated[tuple[Value, ...], IfAny] = ()  # nodes whose values leave it beside the last one's

    @property
    def output(self) -> str:
        """Name of the value that leaves the graph."""
        return self.nodes[-1].name if self.nodes else INPUT

    @property
    def shape(self) -> Shape:
        """Shape of the value that leaves the graph."""
        return self.nodes[-1].shape if self.nodes else self.input

    def shape_of(self, name: str) -> Shape:
        """Shape of one of the values that leave the graph, that of the last node where none is named."""
        return next((node.shape for node in self.nodes if node.name == name), self.shape)

    @property
    def parameters(self) -> dict[str, Shape]:
        """Parameters by ``node.tensor``, frozen or not."""
        return {f"{n.name}.{p}": s for n in self.nodes for p, s in n.parameters.items()}

    @property
    def trained(self) -> dict[str, Shape]:
        """Parameters that are trained by ``node.tensor``."""
        return {f"{n.name}.{p}": s for n in self.nodes for p, s in n.trained.items()}

    @cached_property
    def parameter_count(self) -> int:
        """Numbers in its parameters."""
        return sum(node.parameter_count for node in self.nodes)

    @cached_property
    def flops(self) -> int:
        """FLOPs of one sample's forward."""
        return sum(n.flops for n in self.nodes)

    @cached_property
    def reads_images(self) -> bool:
        """Whether it needs the images beside its input."""
        return any(IMAGES in node.inputs for node in self.nodes)

    def pieces(self, sizes: tuple[int, ...]) -> tuple[Graph, ...]:
        """The graph in successive pieces of so many nodes, each reading what the one before hands on, and the images.

        Only the graph that begins with the images has an input that is alive between its pieces.
        """
        found, first, shape, dtype = [], 0, self.input, self.dtype
        names: dict[str, str] = {}
        for size in sizes:
            nodes = self.nodes[first : first + size]
            read, made = {name for node in nodes for name in node.inputs}, {node.name for node in nodes}
            reads = tuple(skip for skip in self.reads if skip.name in read)
            gives = tuple(name for name in self.gives if name in made)
            found.append(Graph(shape, tuple(rewire(node, names) for node in nodes), dtype, reads, gives))
            first, shape, dtype = first + size, nodes[-1].shape, nodes[-1].dtype
            names = {nodes[-1].name: INPUT, INPUT: IMAGES}
        return tuple(found)

    def uses(self) -> dict[str, int]:
        """How many inputs read each value, and how many blocks to come."""
        counts = {INPUT: 0, IMAGES: 0} | {skip.name: 0 for skip in self.reads}
        counts |= {node.name: int(node.name in self.gives) for node in self.nodes}
        for node in self.nodes:
            for name in node.inputs:
                counts[name] += 1
        return counts

    @cached_property
    def simple(self) -> tuple[Node, ...]:
        """The nodes as torch sees them: parts in place of what has parts, the last one under its name; none is idle."""
        same = self._same
        return tuple(part for node in self.nodes if not node.op.idle for part in sub_nodes(rewire(node, same)))

    @cached_property
    def result(self) -> str:
        """The name of the value that leaves the graph among the simple nodes."""
        return self._same.get(self.output, self.output)

    @property
    def results(self) -> list[str]:
        """The names of all values that leave it among the simple nodes, that of the last node first."""
        return [self.result, *(self._same.get(name, name) for name in self.gives)]

    @cached_property
    def _same(self) -> dict[str, str]:
        """For every idle node the value that it hands on."""
        same: dict[str, str] = {}
        for node in self.nodes:
            if node.op.idle:
                same[node.name] = same.get(node.inputs[0], node.inputs[0])
        return same

    @cached_property
    def overwriting(self) -> frozenset[str]:
        """Nodes that may work in place: nobody else reads their input, and no backward needs what it was."""
        uses, made = self.uses(), {node.name: node for node in self.nodes}
        return frozenset(
            n.name for n in self.nodes if n.op.inplace and uses[n.inputs[0]] == 1 and _spare(made.get(n.inputs[0]))
        )


def _spare(producer: Node | None) -> bool:
    """Whether the result of `producer` (None: the graph's input) may be overwritten by its only reader."""
    if producer is None or producer.saved.output:
        return False
    *_, last = sub_nodes(producer)
    return last.op.fresh(*last.in_shapes)


@dataclass(frozen=True)
class BackboneGraph:
    """The network to be trained: layers in order, from the image to the logits."""

    input: Shape
    layers: tuple[Layer, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)  # names of several layers -> the last of them
    dtype: DType = "float32"  # of the input
    seen: Annotated[Mapping[Value, Layout], IfAny] = field(default_factory=dict)  # where a tracer saw tokens stand
    vocabulary: Annotated[int, IfAny] = 0  # how many tokens of texts it knows, where a tracer saw that

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of every layer."""
        return {layer.name: i for i, layer in enumerate(self.layers)}

    @property
    def nodes(self) -> Iterator[Node]:
        """All nodes in executable order."""
        return (node for layer in self.layers for node in layer.nodes)

    @cached_property
    def cuts(self) -> tuple[str, ...]:
        """The legal ends of blocks: where the layer's own value, which heads read, is among those that live on.

        What else lives on crosses beside it. Integers end none: no gradient passes them, no head learns from them.
        """
        legal = zip(self.layers[:-1], alive([layer.nodes for layer in self.layers], self._last_readers), strict=False)
        return tuple(
            layer.name
            for layer, live in legal
            if layer.nodes[-1].name in live and all(node.dtype == "float32" for node in live.values())
        )

    @cached_property
    def narrow_cuts(self) -> tuple[str, ...]:
        """The legal cuts that one value alone crosses."""
        legal = set(self.cuts)
        return tuple(name for name in self.joints if name in legal)

    @cached_property
    def safe_cuts(self) -> tuple[str, ...]:
        """The legal cuts that leave no parameters without a gradient, wherever else it is cut.

        All that is trained before one of them leads to its layer's value.
        """
        joints = {self.index[name] for name in self.joints}
        whole = {self.layers[i].name for i in complete([layer.nodes for layer in self.layers], joints)}
        return tuple(name for name in self.cuts if name in whole)

    @cached_property
    def _last_readers(self) -> dict[str, int]:
        return last_readers([layer.nodes for layer in self.layers])

    @cached_property
    def joints(self) -> tuple[str, ...]:
        """Layers after which one tensor alone separates the rest of the network.

        The images do not count: they are there throughout a step, and nobody wants their gradient.
        """
        living = alive([layer.nodes for layer in self.layers], self._last_readers)
        pairs = zip(self.layers[:-1], living, strict=False)
        return tuple(layer.name for layer, live in pairs if live.keys() == {layer.nodes[-1].name})

    @cached_property
    def cut_choices(self) -> tuple[str, ...]:
        """The cuts that one value crosses to choose from: between any two, and at both ends, is something to train."""
        return in_order(chosen(self.layers, {*self.narrow_cuts}))

    @cached_property
    def tiers(self) -> tuple[tuple[str, ...], ...]:
        """The cuts to choose from, those that people mean first; each of the further ones has more of them.

        Those that one value crosses and that leave layers whole, with norm and activation; that several cross; any.
        """
        legal = {*self.narrow_cuts}, {*self.safe_cuts}
        whole, broad = (chosen(self.layers, cuts - self.parted.keys()) for cuts in legal)
        others = (chosen(self.layers, cuts) for cuts in legal)
        return in_order(whole), in_order(whole, broad), in_order(whole, broad, *others)

    @cached_property
    def parted(self) -> dict[str, str]:
        """The layers that a cut parts from the norm or activation that belongs to them, and the layer of that."""
        return parted(self.layers)

    def alive_after(self, position: int) -> tuple[str, ...]:
        """The values that layers after `position` read and layers up to it provide."""
        made = (node.name for layer in self.layers[: position + 1] for node in layer.nodes)
        return tuple(name for name in made if self._last_readers.get(name, -1) > position)

    def part(self, first: int, last: int) -> Graph:
        """The graph of layers first..last (inclusive), whose input is what the layer before them hands on.

        It reads and gives whatever else crosses to it, and from it.
        """
        nodes = tuple(node for layer in self.layers[first : last + 1] for node in layer.nodes)
        own, later = {node.name for node in nodes}, self._last_readers
        gives = tuple(node.name for node in nodes[:-1] if later.get(node.name, -1) > last)
        if not first:
            return Graph(self.input, nodes, self.dtype, gives=gives)
        before = self.layers[first - 1].nodes[-1]
        foreign = dict.fromkeys(name for node in nodes for name in node.inputs if name not in own)
        reads = tuple(Skip(name, self.shapes[name]) for name in foreign if name not in (INPUT, before.name))
        return Graph(before.shape, tuple(_entered(node, before.name) for node in nodes), before.dtype, reads, gives)

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of every value."""
        return {INPUT: self.input} | {node.name: node.shape for node in self.nodes}

    def read_from_outside(self, first: int, count: int) -> tuple[str, ...]:
        """What `count` layers from `first` on read of what others make, the images left out."""
        nodes = [node for layer in self.layers[first : first + count] for node in layer.nodes]
        read = dict.fromkeys(name for node in nodes for name in node.inputs)
        own = {INPUT, *(node.name for node in nodes)}
        return tuple(name for name in read if name not in own)

    @cached_property
    def spans(self) -> tuple[range, ...]:
        """The runs of layers between joints: no smaller part of a network can be computed again by itself."""
        ends = [*(self.index[name] for name in self.joints), len(self.layers) - 1]
        return tuple(range(first, last + 1) for first, last in zip([0, *(end + 1 for end in ends)], ends, strict=False))

    def copy_of(self, first: int, count: int) -> Graph:
        """`count` layers from `first` on under names of their own, as an EMA link copies them: they read one value."""
        (entry,) = self.read_from_outside(first, count)
        names = self._local_names(first, count)
        nodes = (node for layer in self.layers[first : first + count] for node in layer.nodes)
        copies = (replace(rewire(_entered(node, entry), names), name=names[node.name], frozen=False) for node in nodes)
        return Graph(self.shapes[entry], tuple(copies))

    def places_through(self, first: int, count: int, start: Places) -> Places:
        """Where the positions stand that such a copy gives: where its original's do, if it is given the same ones."""
        (entry,) = self.read_from_outside(first, count)
        if self.layouts[entry] == start:
            return self.layouts[self.layers[first + count - 1].nodes[-1].name]
        return layouts((copy := self.copy_of(first, count)).nodes, {INPUT: start})[copy.output]

    def _local_names(self, first: int, count: int) -> dict[str, str]:
        """The nodes' names without their layer's; in full where that would make two the same."""
        names = {}
        for i, layer in enumerate(self.layers[first : first + count]):
            for node in layer.nodes:
                local = node.name.removeprefix(layer.name + ".")
                names[node.name] = local if count == 1 else f"{i}.{local}"
        clear = len({INPUT, *names.values()}) == len(names) + 1
        return names if clear else {name: name for name in names}

    @cached_property
    def layouts(self) -> dict[str, Places]:
        """For every value the places of its positions in the image."""
        return layouts(self.nodes, {}, self.seen)


def _entered(node: Node, entry: str) -> Node:
    """The node as part of a graph whose input is the value `entry`."""
    return rewire(node, {entry: INPUT, INPUT: IMAGES})

"""A traced network: its graph as a backbone, and the parts of it that are no ops, taken out, run and measured."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
import torch.fx
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from specc.graph.concats import nested
from specc.graph.graph import BackboneGraph
from specc.graph.ops import Flatten, Op, Shape, ToMap, ToTokens, numel
from specc.graph.ops.opaque import Opaque, Tensor, TracedPart
from specc.graph.ops.source import Source
from specc.graph.traced.tracing import gone

from .calls import Call, Traced
from .channels import signals
from .entering import beside_readers
from .extraction import Extraction
from .layering import layered
from .lowering import lower
from .measuring import footprints, likeness, measure
from .merging import merged
from .networks import check, undrawn
from .owned import TRACKED, Owned, to_meta
from .positions import aligned
from .records import does_nothing, draws, holds_tensors, lists, record

MOST_KEPT = 8  # modules that Python handed over, whose parts can be built


def trace(source: Source, *, measured: bool = True) -> BackboneGraph:
    """The network as a graph; raises `BackboneError` or `ShapeError`.

    What its parts take in memory is left out where it is not `measured`, which takes most of the time.
    """
    check(source)
    laboratory = load(source)
    found = lower(laboratory.traced, laboratory if measured else Unmeasured(laboratory))
    return layered(source.image, tuple(nested(found)), laboratory.traced.lists, source.where, source.dtype)


def extract(op: Opaque) -> nn.Module:
    """The opaque op as a module on meta; `fixed_buffers` are the values of buffers that no training changes."""
    with _disable_current_modes():  # fake tensors must not get into the traced model
        found: nn.Module = load(op.part.source).module(op.part)
        return found


def load(source: Source) -> Laboratory:
    """The traced network; raises `BackboneError` where it is a module of Python's that nobody has handed over."""
    if source.kind != "traced":
        return _made(source)
    if source not in _kept:
        raise gone(source)
    return _kept[source]


def keep(laboratory: Laboratory) -> None:
    """Have the parts of a module that Python handed over built from now on."""
    _kept[laboratory.source] = laboratory
    _kept.move_to_end(laboratory.source)
    while len(_kept) > MOST_KEPT:
        _kept.popitem(last=False)


@lru_cache(maxsize=2)
def _made(source: Source) -> Laboratory:
    """Untouched by whatever device or fake tensors are in force around the caller."""
    with _disable_current_modes(), torch.device("cpu"):
        return Laboratory(source, *undrawn(source))


class Laboratory:
    """A traced network on meta tensors, whose parts can be taken out, run and measured."""

    def __init__(self, source: Source, network: nn.Module, fills: dict[str, float]) -> None:
        self.source, self.network, self.fills = source, network, fills
        owned = Owned(network)
        module: Any
        for module in network.modules():
            if hasattr(module, "inplace"):
                module.inplace = False
        self.graph, self.values, self.scopes, constants = merged(source, network)
        beside_readers(self.graph, self.values, self.scopes)
        self.constants = constants
        self.fixed = constants | {
            name: buffer.clone() for name, buffer in network.named_buffers() if name.rpartition(".")[2] not in TRACKED
        }
        for name, tensor in constants.items():
            network.register_buffer(name, tensor)
        to_meta(network)
        self._tidy()
        self.measured: dict[tuple[str, bool], tuple[Any, ...]] = {}  # by likeness: a model has many parts of one kind
        self.ordered: dict[tuple[str, int], tuple[tuple[int, ...], int]] = {}  # likewise
        self.nodes = {node.name: node for node in self.graph.nodes}
        output = next(node for node in reversed(self.graph.nodes) if node.op == "output").args[0]
        self.traced = Traced(source, tuple(self._calls(owned)), output.name, frozenset(lists(network)))
        self.signals = signals(self.traced.calls)
        self.given = {call.name for call in self.traced.calls if call.what == "input"}

    def sign(self, digest: str) -> None:
        """What the network is known by, where it is none that can be built again of a name."""
        self.source = replace(self.source, digest=digest)
        self.traced = replace(self.traced, source=self.source)

    def _tidy(self) -> None:
        """Without calls that hand on what they read."""
        for node in list(self.graph.nodes):
            if does_nothing(self.network, node):
                node.replace_all_uses_with(next(iter(node.all_input_nodes)))
                self.graph.erase_node(node)

    def _calls(self, owned: Owned) -> Iterator[Call]:
        depends, drawn = set[Any](), set[Any]()
        for node in self.graph.nodes:
            if node.op != "output":
                first, second = (values[node] for values in self.values)
                if draws(node) or drawn.intersection(node.all_input_nodes):
                    drawn.add(node)
                if holds_tensors(first) and (node.op == "placeholder" or depends.intersection(node.all_input_nodes)):
                    depends.add(node)
                most = max(4, *(len(shape) + 1 for shape in (self.source.image, *(p.shape for p in self.source.parts))))
                yield record(
                    node, self.network, self.scopes.get(node.name, ""), first, second, node in depends, self.fills,
                    owned, node in drawn, most,
                )  # fmt: skip

    def module(self, part: TracedPart) -> Any:
        """The part as a torch module on meta."""
        return Extraction(self, part).module()

    def opaque(self, part: TracedPart, takes: tuple[Shape, ...], *, sized: bool = True) -> Op:
        """The part as an op, measured with two batches."""
        module = self.module(part)
        tensors = list(module.named_parameters())
        weights = tuple(Tensor(n, tuple(p.shape), self.fills.get(f"{part.root}.{n}".lstrip("."))) for n, p in tensors)
        state = tuple(Tensor(n, tuple(b.shape)) for n, b in module.named_buffers())
        integers = self.integers(part)
        alike = (likeness(module, takes, integers), sized)
        if alike not in self.measured:
            sizes = footprints(module, takes, integers) if sized else ()
            self.measured[alike] = (*measure(module, takes, integers), sizes)
        return Opaque(part, takes, self.measured[alike][0], weights, state, *self.measured[alike][1:])

    def integers(self, part: TracedPart) -> frozenset[int]:
        """Which of the part's inputs are whole numbers: none but what the network is given can be."""
        if self.source.dtype == "float32":
            return frozenset()
        return frozenset(i for i, name in enumerate(part.inputs) if name in self.given)

    def in_place(self, part: TracedPart, takes: tuple[Shape, ...]) -> bool:
        """Whether the part leaves the rows and columns of what it reads what they are, seen by moving their numbers.

        A part with tensors of its own cannot be looked at so: it is believed where it gives as many as it takes.
        """
        module = self.module(part)
        given = [grid or shape[1:] for grid, shape in zip(part.grids, takes, strict=True)]
        size = tuple(self.values[0][self.nodes[part.output]].shape[1:3])
        if len(set(given)) != 1 or len(given[0]) != 2:
            return False
        if any(True for _ in (*module.parameters(), *module.buffers())):
            return given[0] == size
        h, w = given[0]

        def mean(numbers: Any) -> Any:
            inputs = (numbers.expand(2, c[0], h, w) if len(c) == 3 else numbers.expand(2, c[1], h, w).flatten(2).mT
                      for c in takes)  # fmt: skip
            return module(*inputs)[0].mean(-1).view(size)

        there = mean(torch.ones(1, 1))
        rows, columns = mean(torch.arange(1.0, h + 1)[:, None]) / there, mean(torch.arange(1.0, w + 1)) / there
        alike = torch.allclose(rows, rows[:, :1].expand(size)) and torch.allclose(columns, columns[:1].expand(size))
        return alike and bool((rows.diff(dim=0) > 0).all()) and bool((columns.diff(dim=1) > 0).all())

    def aligned(self, part: TracedPart, takes: tuple[Shape, ...]) -> tuple[tuple[int, ...], int]:
        """The inputs whose tokens the part leaves in their order, and how many it puts before them."""
        module, given = self.module(part), len(self.values[0][self.nodes[part.output]][0])
        integers = self.integers(part)
        alike = (likeness(module, takes, integers), given)
        if alike not in self.ordered:
            self.ordered[alike] = aligned(module, takes, given, integers)
        return self.ordered[alike]

    def movement(self, part: TracedPart, takes: Shape) -> Op | None:
        """The op that puts numbers to the same places, found by moving consecutive numbers."""
        module = self.module(part)
        x = torch.arange(2 * numel(takes)).view(2, *takes)
        y = module(x)
        if len(takes) > 2 and y.dim() == 2:
            return Flatten() if torch.equal(y, x.flatten(1)) else None
        if len(takes) == 3 and y.dim() == 3:
            return ToTokens() if torch.equal(y, x.flatten(2).transpose(1, 2)) else None
        if len(takes) == 2 and y.dim() == 4 and y.shape[1] == takes[1]:
            size = tuple(y.shape[2:])
            return ToMap(size) if torch.equal(y, x.transpose(1, 2).reshape(2, takes[1], *size)) else None
        return None


_kept: OrderedDict[Source, Laboratory] = OrderedDict()


class Unmeasured:
    """A laboratory that does not ask what parts take in memory."""

    def __init__(self, laboratory: Laboratory) -> None:
        self.laboratory = laboratory
        self.in_place, self.movement, self.aligned = laboratory.in_place, laboratory.movement, laboratory.aligned

    def opaque(self, part: TracedPart, takes: tuple[Shape, ...]) -> Op:
        """The part as an op."""
        return self.laboratory.opaque(part, takes, sized=False)

"""A traced network: its graph as a backbone, and the parts of it that are no ops, taken out, run and measured."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

import torch
import torch.fx
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from specc.graph.concats import nested
from specc.graph.graph import BackboneGraph
from specc.graph.layout import Layout
from specc.graph.ops import Flatten, Op, Shape, ToMap, ToTokens, numel
from specc.graph.ops.footprint import Footprint
from specc.graph.ops.opaque import Opaque, Tensor, TracedPart
from specc.graph.ops.source import Source
from specc.graph.problems import BackboneError, Problem
from specc.graph.traced.tracing import gone

from .calls import Call, Traced
from .channels import channels_last, signals
from .entering import beside_readers
from .extraction import Extraction
from .layering import layered
from .lowering import lower
from .measuring import BATCHES, Measured, footprints, likeness, measure
from .merging import merged
from .networks import check, undrawn
from .owned import TRACKED, Owned, to_meta
from .positions import positions
from .records import does_nothing, draws, holds_tensors, lists, record
from .texts import tokens_known

MOST_KEPT = 8  # modules that Python handed over, whose parts can be built


def trace(source: Source, *, measured: bool = True) -> BackboneGraph:
    """The network as a graph; raises `BackboneError` or `ShapeError`.

    What its parts take in memory is left out where it is not `measured`, which takes most of the time.
    """
    check(source)
    laboratory = load(source)
    found, names = lower(laboratory.traced, laboratory if measured else Unmeasured(laboratory))
    graph = layered(source.image, tuple(nested(found)), laboratory.traced.lists, source.where, source.dtype)
    seen = laboratory.positions
    places = {names[value]: place for value, place in seen.items() if value in names}
    return replace(graph, seen=places, vocabulary=tokens_known(laboratory.traced.calls, laboratory.network))


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


def _require_answer(traced: Traced, value: Any) -> None:
    """Raise `BackboneError` where the network gives no answer for every sample that something can be learnt of."""
    call = next(call for call in traced.calls if call.name == traced.output)
    if call.kind == "sample" and call.what != "input":
        return
    source, kind = traced.source, str(value.dtype).removeprefix("torch.")
    gives = f"{kind} of shape {tuple(value.shape)} for a batch of {BATCHES[0]}"
    gives = "back what it is given" if call.what == "input" else gives
    text = f"`{source.name}` gives {gives}, and an answer is floats for every sample, with a gradient"
    raise BackboneError(Problem("SPC308", text, source.where, "gives no answer"))


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
        # by likeness: a model has many parts of one kind
        self.measured: dict[tuple[str, bool], tuple[Measured, tuple[Footprint, ...]]] = {}
        self.nodes = {node.name: node for node in self.graph.nodes}
        output = next(node for node in reversed(self.graph.nodes) if node.op == "output").args[0]
        self.traced = Traced(source, tuple(self._calls(owned)), output.name, frozenset(lists(network)))
        _require_answer(self.traced, self.values[0][output])
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
        state = tuple(Tensor(n, tuple(b.shape), width=b.element_size()) for n, b in module.named_buffers())
        integers = self.integers(part)
        alike = (likeness(module, takes, integers), sized)
        if alike not in self.measured:
            sizes = footprints(module, takes, integers) if sized else ()
            self.measured[alike] = measure(module, takes, integers), sizes
        found, sizes = self.measured[alike]
        fills = {n: self.fills.get(f"{part.root}.{n}".lstrip(".")) for n, _ in module.named_parameters()}
        weights = tuple(Tensor(n, tuple(p.shape), fills[n], idle=n in found.idle) for n, p in module.named_parameters())
        return Opaque(
            part, takes, found.gives, weights, state, found.work, found.keeps, found.shares, found.hands_back,
            found.viewed, found.lies, found.gradient, found.stops, sizes,
        )  # fmt: skip

    def integers(self, part: TracedPart) -> frozenset[int]:
        """Which of the part's inputs are whole numbers: none but what the network is given can be."""
        if self.source.dtype == "float32":
            return frozenset()
        return frozenset(i for i, name in enumerate(part.inputs) if name in self.given)

    @cached_property
    def positions(self) -> dict[str, Layout]:
        """Where the values that are tokens stand in the image, as far as that can be followed."""
        calls = self.traced.calls
        images = calls[0].kind == "sample" and (len(calls[0].shape) == 3 or calls[0].name in self.signals)
        last = channels_last(calls)
        tokens = any(c.kind == "sample" and (len(c.shape) == 2 or c.name in last) for c in calls[1:])
        return positions(self.network, self.graph, self.values[0], last) if images and tokens else {}

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
        self.movement = laboratory.movement

    def opaque(self, part: TracedPart, takes: tuple[Shape, ...]) -> Op:
        """The part as an op."""
        return self.laboratory.opaque(part, takes, sized=False)

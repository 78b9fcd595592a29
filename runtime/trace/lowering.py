"""Regions of calls become ops: words of the vocabulary where the numbers are equal, opaque ones elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from specc.graph.node import Node
from specc.graph.ops import INPUT, Op, Reshape, Shape
from specc.graph.ops.opaque import Opaque, TracedPart
from specc.graph.problems import BackboneError, Problem

from .calls import Call, Laboratory, Traced
from .channels import channels_last, folded, signals
from .regions import Region, region, regions
from .vocabulary import Candidate, word

CONSTANTS = ("get_attr", "constant")

# calls that put numbers elsewhere and change none
MOVES = frozenset({
    "view", "reshape", "permute", "transpose", "flatten", "contiguous", "swapaxes", "unsqueeze", "squeeze", "unflatten",
    "movedim", "Flatten",
})  # fmt: skip


def lower(traced: Traced, laboratory: Laboratory) -> tuple[tuple[Node, ...], dict[str, str]]:
    """The model as nodes, in executable order, and the nodes that its values are; tensors keep their names."""
    lowering = _Lowering(traced, laboratory)
    return lowering.run(), lowering.names


@dataclass(slots=True)
class _Chosen:
    region: Region
    op: Op | None


class _Lowering:
    def __init__(self, traced: Traced, laboratory: Laboratory) -> None:
        self.traced, self.laboratory = traced, laboratory
        self.calls = {call.name: call for call in traced.calls}
        self.last, self.signals = channels_last(traced.calls), signals(traced.calls)
        self.names = {call.name: INPUT for call in traced.calls if call.what == "input"}  # value -> node
        self.taken: set[str] = {INPUT}

    def run(self) -> tuple[Node, ...]:
        chosen = [_Chosen(found, self._word(found)) for found in regions(self.traced)]
        begun = [self._row(call) for call in self.traced.calls if call.what == "input" and call.name in self.signals]
        return (*begun, *map(self._node, self._fuse(chosen)))

    def _row(self, call: Call) -> Node:
        """The signals that the network is given as maps of one row."""
        shape = self.shape(call.name)
        self.names[call.name] = "signal"
        self.taken.add("signal")
        return Node("signal", Reshape(shape), (INPUT,), (call.shape,), shape)

    def shape(self, name: str) -> Shape:
        """A value's shape as ops know it."""
        return folded(self.calls[name].shape, name in self.last, name in self.signals)

    def _part(self, found: Region) -> TracedPart:
        grids = tuple(self.calls[name].shape[:-1] if name in self.last else () for name in found.inputs)
        return TracedPart(
            self.traced.source, found.inputs, found.output.name, found.root,
            grids, found.output.name in self.last,
        )  # fmt: skip

    def _word(self, found: Region) -> Op | None:
        shapes = tuple(map(self.shape, found.inputs))
        name = found.output.name
        op = word(Candidate(found, self.calls, shapes, self.shape(name), name in self.last))
        if op is None and len(shapes) == 1 and {call.what for call in found.calls if call.kind != "number"} <= MOVES:
            return self.laboratory.movement(self._part(found), shapes[0])
        return op

    def _fuse(self, chosen: list[_Chosen]) -> list[_Chosen]:
        """What has no word joins its only reader if that has none either: larger parts, fewer measured ones.

        Modules that learn, each called as a whole, stay apart, as a network may be cut between them.
        """
        made = {each.region.output.name: each for each in chosen}
        while sum(self._joins(made, name) for name in list(made)):
            pass  # two readers of a value may be one by now
        return list(made.values())

    def _joins(self, made: dict[str, _Chosen], name: str) -> bool:
        """Whether it has joined its reader."""
        each = made[name]
        readers = [d for d in made.values() if name in d.region.inputs]
        if len(readers) != 1 or readers[0].op is not None or not self._belongs(made, each, readers[0]):
            return False
        del made[name]
        readers[0].region = region(self.calls, readers[0].region.output.name, made.keys())
        readers[0].op = self._word(readers[0].region)
        return True

    def _belongs(self, made: Mapping[str, _Chosen], each: _Chosen, reader: _Chosen) -> bool:
        """Whether a value is one of those inside of a part: an op is where it is between others of the same code."""
        if each.op is None:
            return not (each.region.learns and reader.region.learns)
        found = each.region
        shapes = tuple(map(self.shape, found.inputs))
        if found.output.scope != reader.region.output.scope or each.op.parameters(*shapes):
            return False
        sources = [made.get(source) for source in found.inputs]
        return all(one is not None and one.op is None and not one.region.learns for one in sources)

    def _node(self, each: _Chosen) -> Node:
        found, op = each.region, each.op
        output = found.output
        sources = found.inputs if op is None else tuple(n for n in output.reads if n in found.inputs) or found.inputs
        inputs = tuple(self.names[name] for name in sources)
        shapes = tuple(map(self.shape, sources))
        if op is None:
            op = self.laboratory.opaque(self._part(found), shapes)
        node = Node(self._name(found, op), op, inputs, shapes, op.output(*shapes))
        if node.shape != self.shape(output.name):
            text = f"`{node.name}` gives {self.shape(output.name)} in the model, but {node.shape} as `{op.name}`"
            raise BackboneError(Problem("SPC308", text, self.traced.source.where, "cannot be traced"))
        self.names[output.name] = node.name
        return node

    def _name(self, found: Region, op: Op) -> str:
        """The module's or attribute's own name, so that tensors are called as in torchvision."""
        measured = isinstance(op, Opaque) and not op.weights  # and not called after a constant that it happens to read
        owners = [call.path for call in found.calls if call.path and not (measured and call.what in CONSTANTS)]
        name = owners[0] if len(owners) == 1 else _function(found.output)
        tensors = [f"{found.root}.{tensor}".lstrip(".") for tensor in op.parameters(*map(self.shape, found.inputs))]
        if isinstance(op, Opaque) and op.weights:
            name = found.root or name
        elif len(owners) > 1 and sorted(tensors) == sorted(owners):  # a function given a module's tensors
            name = found.root
        if name and name not in self.taken:
            self.taken.add(name)
            return name
        number = next(i for i in range(1, len(self.taken) + 2) if f"{name}_{i}" not in self.taken)
        self.taken.add(f"{name}_{number}")
        return f"{name}_{number}"


def _function(call: Call) -> str:
    return f"{call.scope}.{call.what}".lstrip(".")

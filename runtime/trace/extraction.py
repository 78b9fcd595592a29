"""A part of a traced network as a module of its own."""

from __future__ import annotations

import copy
import operator
from collections.abc import Mapping, Sequence, Set
from typing import Any, Protocol

import torch
import torch.fx

from specc.graph.ops import Shape
from specc.graph.ops.opaque import TracedPart

from .measuring import BATCHES
from .merging import is_least
from .records import holds_tensors


class Whole(Protocol):
    """The network that a part is of, as it was traced."""

    @property
    def network(self) -> Any:
        """The module."""

    @property
    def nodes(self) -> Mapping[str, Any]:
        """Its calls by name."""

    @property
    def values(self) -> Sequence[Mapping[Any, Any]]:
        """What they gave, for both batches."""

    @property
    def fixed(self) -> Mapping[str, Any]:
        """Tensors that no training changes."""

    @property
    def signals(self) -> Set[str]:
        """The values that are signals."""

    def integers(self, part: TracedPart) -> Set[int]:
        """Which inputs of a part are whole numbers."""


class Extraction:
    """Copies the calls of a part into a graph of its own; numbers that grow with the batch are computed from it."""

    def __init__(self, laboratory: Whole, part: TracedPart) -> None:
        self.laboratory, self.part = laboratory, part
        self.graph = torch.fx.Graph()
        self.copies: dict[str, Any] = {}
        self.owned: dict[str, Any] = {}
        self.copied: dict[int, Any] = {}  # a tensor that several modules have stays one
        self.batch: Any = None
        self.inputs: list[Any] = []

    def module(self) -> Any:
        """The part as a module on meta, its tensors called relative to the part's root."""
        self.inputs = inputs = [self.graph.placeholder(f"x{i}") for i in range(len(self.part.inputs))]
        self.batch = self.graph.call_method("size", (inputs[0], 0))
        for name, x, grid in zip(self.part.inputs, inputs, self.part.grids, strict=True):
            self.copies[name] = self._unfolded(name, x, grid)
        out = self.copy(self.laboratory.nodes[self.part.output])
        if self.part.output in self.laboratory.signals:
            out = self.graph.call_method("unsqueeze", (out, 2))
        self.graph.output(self.graph.call_method("flatten", (out, 1, -2)) if self.part.folds else out)
        if not self.batch.users:
            self.graph.erase_node(self.batch)
        module: Any = torch.fx.GraphModule(self.owned, self.graph, "Opaque")
        root = self.part.root + "." if self.part.root else ""
        fixed = self.laboratory.fixed
        module.fixed_buffers = {n: fixed[root + n] for n, _ in module.named_buffers() if root + n in fixed}
        return module

    def _kind(self) -> Any:
        """The floats of the network, as torch calls them."""
        return self.graph.call_function(getattr, (self._float(), "dtype"))

    def _float(self) -> Any:
        """Something whose floats are as wide as those of the network: an input, or else one of the part's tensors."""
        integers = self.laboratory.integers(self.part)
        if floats := [x for i, x in enumerate(self.inputs) if i not in integers]:
            return floats[0]
        todo = [self.laboratory.nodes[self.part.output]]
        while True:
            node = todo.pop()
            if node.op in ("call_module", "get_attr"):
                found = operator.attrgetter(node.target)(self.laboratory.network)
                tensors = found.named_parameters() if node.op == "call_module" else [("", found)]
                for name, tensor in tensors:
                    if tensor.is_floating_point():
                        return self._attribute(f"{node.target}.{name}".rstrip("."))
            todo += [each for each in node.all_input_nodes if each.name not in self.part.inputs]

    def _attribute(self, path: str) -> Any:
        target = self._inside(path)
        self.owned[target] = copy.deepcopy(operator.attrgetter(path)(self.laboratory.network), self.copied)
        return self.graph.get_attr(target)

    def _inside(self, path: str) -> str:
        """As the part calls what the network calls so."""
        return path.removeprefix(self.part.root + ".") if self.part.root else path

    def _unfolded(self, name: str, x: Any, grid: Shape) -> Any:
        """An input as the model knows it."""
        if name in self.laboratory.signals:
            return self.graph.call_method("squeeze", (x, 2))
        return self.graph.call_method("unflatten", (x, 1, grid)) if grid else x

    def copy(self, node: Any) -> Any:
        """The node's copy, or the number that it stands for."""
        if node.name not in self.copies:
            first, second = (values[node] for values in self.laboratory.values)
            self.copies[node.name] = self._call(node) if holds_tensors(first) else self._number(first, second)
        return self.copies[node.name]

    def _call(self, node: Any) -> Any:
        args, kwargs = torch.fx.map_arg((node.args, node.kwargs), self.copy)
        target = node.target
        if node.op in ("call_module", "get_attr"):
            target = self._inside(node.target)
            found = operator.attrgetter(node.target)(self.laboratory.network)
            self.owned[target] = copy.deepcopy(found, self.copied)
        return self.graph.create_node(node.op, target, args, kwargs)

    def _number(self, first: Any, second: Any) -> Any:
        """A number as a + b · batch; inside of shapes too."""
        if isinstance(first, (tuple, list)):
            return tuple(map(self._number, first, second))
        if isinstance(first, torch.device):
            return self.graph.call_function(getattr, (self.inputs[0], "device"))
        if isinstance(first, torch.dtype):
            return self._kind()
        if isinstance(first, bool) or first == second:
            return first
        if is_least(first, second):
            limits = self.graph.call_function(
                torch.finfo, (self.graph.call_function(getattr, (self._float(), "dtype")),)
            )
            return self.graph.call_function(getattr, (limits, "min"))
        slope = (second - first) // (BATCHES[1] - BATCHES[0])
        product = self.graph.call_function(operator.mul, (self.batch, slope))
        return self.graph.call_function(operator.add, (product, first - slope * BATCHES[0]))

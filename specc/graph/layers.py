"""``layers:``, the user's own graph: an ordered list of named layers, each an op, a macro or a group of layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from ..language.schema import Config
from ..tasks.dtypes import dtype_of
from .builder import LayerBuilder, NameTaken
from .graph import INPUT, BackboneGraph
from .groups import Definition, GroupName, unused
from .ops import Op, Shape, ShapeError, show
from .ops.entry import Entry
from .patterns import LayerItem
from .problems import BackboneError, Problem
from .unfold import LOST, MOST_LAYERS, LayerToBuild, Unfolding


class Layers(Config):
    """Your own graph: named layers in order, each reading the one before unless `from:` says otherwise."""

    define: Annotated[dict[GroupName, Definition], Field(max_length=100)] = Field(
        {}, description="groups of layers by name, which `layers:` may use wherever it may use an op"
    )
    layers: list[LayerItem] = Field(min_length=1, description="ops, macros and groups by name, see the op reference")

    aliases: ClassVar[dict[str, str]] = {
        "graph": "layers", "nodes": "layers", "groups": "define", "definitions": "define",
    }  # fmt: skip
    alternatives: ClassVar[tuple[str, ...]] = ("layers",)

    def expand(self, input: Shape, classes: int, vocabulary: int = 0) -> BackboneGraph:
        """The graph for samples of shape `input`; raises `BackboneError` with all that is wrong."""
        unfolding = Unfolding(self.define)
        unfolding.run(self.layers)
        return _Expansion(unfolding, input, vocabulary).run()

    def remarks(self, input: Shape) -> tuple[Problem, ...]:
        """Groups and parameters that nobody uses."""
        return tuple(unused(self.define, self.layers))


@dataclass
class _Expansion:
    unfolding: Unfolding
    input: Shape
    vocabulary: int
    outputs: dict[str, str] = field(default_factory=lambda: {INPUT: INPUT})  # layer -> node that it hands on
    unknown: set[str] = field(default_factory=lambda: {LOST})  # layers whose shape an earlier mistake hides

    def run(self) -> BackboneGraph:
        if len(self.unfolding.layers) > MOST_LAYERS:
            raise BackboneError(*self.unfolding.problems)
        builder = LayerBuilder(self.input, dtype_of(self.vocabulary), self.vocabulary)
        for layer in self.unfolding.layers:
            self._add(builder, layer)
        problems = self.unfolding.problems
        if not problems:
            problems += _loose_ends(builder)
        if problems:
            raise BackboneError(*problems)
        return builder.backbone({name: last for name, last in self.unfolding.last.items() if name != last})

    def _add(self, b: LayerBuilder, layer: LayerToBuild) -> None:
        if layer.entry is None or not self.unknown.isdisjoint(layer.reads):
            self.unknown.add(layer.name)
            return
        try:
            with b.layer(layer.name, layer.path):
                _expand(b, layer.entry, [self.outputs[name] for name in layer.reads])
        except ShapeError as error:
            self.unfolding.say(self._misfit(b, layer, error))
            self.unknown.add(layer.name)
            return
        self.outputs[layer.name] = b.last
        for name, shape, path in layer.expects:
            if b.shape != shape:
                text = f"`{name}` gives {show(b.shape)}, not the expected {show(shape)}"
                self.unfolding.say(Problem("SPC303", text, path, f"is {show(b.shape)}"))

    def _taken(self, b: LayerBuilder, layer: LayerToBuild, node: str) -> Problem:
        """A part of this layer has the name of a part of another one."""
        owner = next((other for other in b.layers if any(node == part.name for part in other.nodes)), None)
        if owner is None:
            return Problem("SPC209", f"two parts of `{layer.name}` would be called `{node}`", layer.path, "taken")
        text = f"`{layer.name}` would have a part called `{node}`, and `{owner.name}` has one"
        related = (((*owner.path, "name"), "has a part of this name"),)
        return Problem(
            "SPC209", text, (*layer.path, "name"), "taken", ("give one of the two another name",), related + layer.uses
        )

    def _misfit(self, b: LayerBuilder, layer: LayerToBuild, error: ShapeError) -> Problem:
        """A shape error, with the places where the shapes come from."""
        if isinstance(error, NameTaken):
            return self._taken(b, layer, error.name)
        related = tuple(
            (
                (*self.unfolding.taken.get(name, layer.path), "name"),
                f"`{name}` gives {show(b.shapes[self.outputs[name]])}",
            )
            for name in layer.reads
            if name != INPUT
        )
        text = f"`{layer.name}` does not fit: {error}"
        return Problem("SPC302", text, layer.path, "does not fit", error.help, related + layer.uses)


def _expand(b: LayerBuilder, entry: Entry, nodes: list[str]) -> None:
    """Append an entry that reads `nodes`."""
    if isinstance(entry.args, Op):
        if entry.args.blocks_gradient and (trained := b.trained_before(nodes)):
            raise ShapeError(f"`{entry.op}` gives no gradient to what it reads, so that `{trained}` would never learn")
        b.add(entry.args, None, nodes)
    elif len(nodes) > 1:
        raise ShapeError(f"`{entry.op}` takes 1 input, not {len(nodes)}")
    else:
        b.last = nodes[0]
        entry.args.expand(b)


def _loose_ends(b: LayerBuilder) -> Iterator[Problem]:
    """Every layer that is a sink, but the last."""
    read = {name for node in b.nodes for name in node.inputs}
    owner = {layer.nodes[-1].name: layer for layer in b.layers if layer.nodes}
    for node, layer in owner.items():
        if node not in read and layer is not b.layers[-1]:
            text = f"nobody reads `{layer.name}`: a backbone has one end, its last layer"
            yield Problem("SPC305", text, (*layer.path, "name"), "a loose end")

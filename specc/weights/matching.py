"""Which tensor of a file is which of a backbone, by one of the names that it may have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from ..graph.families.base import Family
from ..graph.graph import Node
from ..graph.ops import Shape, show
from ..graph.traced.names import own_name
from ..spec.sections.weights import Weights
from .header import Entry

HEADS = re.compile(r"unit\d+\.")  # how specc calls what stands beside the backbone
STATISTICS = ("running_mean", "running_var")
SHOWN = 6


@dataclass(frozen=True, slots=True)
class Tensor:
    """A parameter or buffer of a backbone under the name that plans have for it."""

    name: str
    node: Node
    key: str
    shape: Shape

    @property
    def needed(self) -> bool:
        """Whether a file without it is not all of the network: counters and constants it makes by itself."""
        return self.key in self.node.parameters or self.key.rpartition(".")[2] in STATISTICS


@dataclass(frozen=True, slots=True)
class Match:
    """What of a file goes where, and what does not match."""

    pairs: Mapping[str, str]  # by the plan's names those of the file
    missing: Mapping[str, Shape]  # that the file does not have
    other: Mapping[str, tuple[Shape, Shape]]  # that have another shape there: the network's, the file's
    left: Mapping[str, Shape]  # of the file, that the network does not have
    heads: int  # tensors of the file that are of auxiliary networks of specc's
    prefix: str = ""  # that would have more of them match

    @property
    def whole(self) -> bool:
        """Whether everything matches."""
        return not (self.missing or self.other or self.left)

    def lines(self) -> Iterator[str]:
        """What does not match, sorted, one line a kind."""
        if self.other:
            pairs = {name: f"{_shape(own)}, in the file {_shape(there)}" for name, (own, there) in self.other.items()}
            yield f"of another shape: {_listed(pairs)}"
        if self.missing:
            yield f"not in the file: {_listed({name: _shape(shape) for name, shape in self.missing.items()})}"
        if self.left:
            yield f"not in the network: {_listed({name: _shape(shape) for name, shape in self.left.items()})}"


def tensors_of(nodes: Iterator[Node]) -> list[Tensor]:
    """All parameters and buffers of these nodes."""
    return [Tensor(f"{node.name}.{key}", node, key, shape) for node in nodes
            for key, shape in (node.parameters | node.buffers).items()]  # fmt: skip


def match(tensors: list[Tensor], backbone: object, file: Mapping[str, Entry], asked: Weights) -> Match:
    """Of the ways in which the network's tensors may be called, that of which the file has the most."""
    there = {name.removeprefix(asked.prefix): name for name in file if name.startswith(asked.prefix)}
    names = max(_ways(tensors, backbone), key=lambda way: sum(name in there for name in way.values()))
    pairs, other, missing = dict[str, str](), dict[str, tuple[Shape, Shape]](), dict[str, Shape]()
    for tensor in tensors:
        name = names[tensor.name]
        if name not in there:
            missing |= {name: tensor.shape} if tensor.needed else {}
        elif (found := file[there[name]]).shape != tensor.shape or (found.whole and tensor.needed):
            other[name] = tensor.shape, found.shape
        else:
            pairs[tensor.name] = there[name]
    rest = file.keys() - {there[name] for name in names.values() if name in there}
    heads = {name for name in rest if HEADS.match(name)}
    left = {name: file[name].shape for name in rest - heads}
    return Match(pairs, missing, other, left, len(heads), "" if pairs else _prefix(set(names.values()), file))


def _ways(tensors: list[Tensor], backbone: object) -> Iterator[dict[str, str]]:
    """Plans' own names, those of the module's `state_dict`, and torchvision's of the same network."""
    ways: list[Callable[[Tensor], str]] = [lambda tensor: tensor.name, lambda tensor: own_name(tensor.node, tensor.key)]
    for way in ways:
        yield {tensor.name: way(tensor) for tensor in tensors}
    if isinstance(backbone, Family):
        with suppress(KeyError):
            named = {tensor.name: backbone.torchvision_name(tensor.name) for tensor in tensors}
            yield (
                {own: name for own, name in named.items() if name is not None}
                if all(named.values())
                else {tensor.name: tensor.name for tensor in tensors}
            )


def _prefix(names: set[str], file: Mapping[str, Entry]) -> str:
    """What most names of the file begin with, where they are those of the network without it."""
    begins = {name.removesuffix(own) for name in list(file)[:50] for own in names if name.endswith(f".{own}")}
    counts = {begin: sum(f"{begin}{name}" in file for name in names) for begin in begins}
    return max(counts, key=lambda begin: counts[begin], default="")


def _shape(shape: Shape) -> str:
    return show(shape) or "one number"


def _listed(said: Mapping[str, str]) -> str:
    names = sorted(said)
    shown = [f"`{name}` ({said[name]})" for name in names[:SHOWN]]
    return ", ".join(shown) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")

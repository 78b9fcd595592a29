"""The Plan: everything the runtime needs for a training step. Frozen, serialisable, fingerprinted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Annotated, Literal

from pydantic import TypeAdapter, ValidationError

from ..graph.graph import Graph, IfAny
from ..graph.layout import Layout as TokenLayout
from ..graph.ops import Shape
from ..language.names import Name, Prefix
from ..language.plugged import OneOf
from ..learning.heads.patches import Cell, cells
from ..learning.losses import LOSSES, Target
from ..spec.models import SpecModel
from ..system.devices import Device
from ..system.files import mapping
from ..tasks.datasets import ResolvedData
from .fingerprint import fingerprint_of
from .instructions import AnyInstruction
from .layout import Layout

FORMAT_VERSION = 7


@dataclass(frozen=True, slots=True)
class Piece:
    """So many successive nodes of a network: whether the backward computes them again, or they are kept."""

    nodes: int
    again: bool = True


@dataclass(frozen=True, slots=True)
class Network:
    """A graph with the prefix of its tensors' names; `group` is the optimizer group, none for averaged copies."""

    name: Name
    prefix: Prefix
    graph: Graph
    group: Name | None
    pieces: tuple[Piece, ...] = ()  # those that are computed again by themselves, and between them; empty: all is kept
    others: tuple[Graph, ...] = ()  # further ones with the same tensors, for patches of other shapes

    @property
    def parameters(self) -> dict[str, Shape]:
        """Its parameters by canonical name."""
        return {self.prefix + name: shape for name, shape in self.graph.parameters.items()}

    @property
    def tensors(self) -> dict[str, Shape]:
        """Its parameters and buffers by canonical name."""
        own = ((node.name, node.parameters | node.buffers) for node in self.graph.nodes)
        return {f"{self.prefix}{node}.{name}": shape for node, held in own for name, shape in held.items()}

    @property
    def reads_images(self) -> bool:
        """Whether it needs the images beside its input: so do later pieces of what begins with them."""
        return self.graph.reads_images or any(part.reads_images for part, _ in self.parts(self.graph))

    def parts(self, graph: Graph) -> tuple[tuple[Graph, bool], ...]:
        """One of its graphs in pieces, and whether each is computed again."""
        sizes, again = tuple(piece.nodes for piece in self.pieces), (piece.again for piece in self.pieces)
        return tuple(zip(graph.pieces(sizes), again, strict=True)) if sizes else ((graph, False),)

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """All its graphs."""
        return (self.graph, *self.others)


@dataclass(frozen=True, slots=True)
class Block:
    """A gradient-isolated run of layers; its network bears the block's name."""

    index: int
    name: Name
    layers: tuple[Name, ...]
    input: Shape
    output: Shape


@dataclass(frozen=True, slots=True)
class PatchGrid:
    """How a head is spread over patches of its features."""

    grid: tuple[int, int]
    fuse: Literal["losses", "outputs"]
    execution: Literal["joint", "sequential"]
    tokens: TokenLayout | None = None  # how tokens are laid out before they are cut; None: the features are a map

    def cells(self, size: Sequence[int]) -> tuple[Cell, ...]:
        """The patches of so many rows and columns, row by row."""
        return cells(size, self.grid)


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """One loss branch of a unit: networks (one a patch), loss and the factor on it (level's weight included)."""

    name: Name
    term: Name
    loss: Annotated[str, OneOf(LOSSES)]
    weight: float
    networks: tuple[Name, ...] = ()
    patches: PatchGrid | None = None
    variants: tuple[int, ...] = ()  # which of its network's graphs runs on each patch; the first where empty
    smoothing: float = 0.0  # of the labels

    @property
    def target(self) -> Target:
        """What its loss compares with."""
        return LOSSES[self.loss].target

    @property
    def answers(self) -> bool:
        """Whether it tells by itself what the network is to tell."""
        return LOSSES[self.loss].answers is not None

    def graphs(self, networks: Mapping[str, Network]) -> tuple[Graph, ...]:
        """What runs on the features, or on each of their patches."""
        return tuple(networks[name].graphs[variant] for name, variant in self.runs)

    @property
    def runs(self) -> tuple[tuple[str, int], ...]:
        """Name and variant of the network that runs on the features, or on each of their patches."""
        return tuple(zip(self.networks, self.variants or (0,) * len(self.networks), strict=True))


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """An EMA link of a unit: the averaged copy, the trainable branch beside it, and where the average comes from."""

    ema: Name
    bias: Name | None
    mode: Literal["branch", "scaled", "parameter", "none"]
    momentum: float
    init: Literal["independent", "copy"]
    source_block: Name
    sources: Mapping[Name, Name]  # tensor of the copy -> tensor of the backbone

    @property
    def scale(self) -> str | None:
        """Name of the one trained number of a `scaled` link."""
        return f"{self.bias}.scale" if self.mode == "scaled" else None


@dataclass(frozen=True, slots=True)
class Unit:
    """A local unit: the window of blocks `start..end`, the losses at its end, and what stands between."""

    name: Name
    level: Name
    start: int
    end: int
    weight: float
    feature: Shape  # what the heads read, after the EMA branch
    heads: tuple[HeadPlan, ...]
    links: tuple[LinkPlan, ...] = ()
    read: Annotated[str, IfAny] = ""  # what its links or heads read of its last block beside its output

    @property
    def telling(self) -> tuple[HeadPlan, ...]:
        """The heads that tell by themselves what the network is to tell."""
        return tuple(head for head in self.heads if head.answers)


@dataclass(frozen=True, slots=True)
class Moment:
    """Memory during one instruction: the bytes alive at its highest point, by category."""

    instruction: int
    bytes: int
    categories: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Memory:
    """Predicted memory of one step, from the second step on."""

    peak_bytes: int
    peak_instruction: int
    categories: Mapping[str, int]  # what is alive at the peak
    timeline: tuple[Moment, ...]
    device: Device = "cuda"  # whose rules were followed


@dataclass(frozen=True)
class Plan:
    """One training step as a straight list of instructions over named networks, and the configuration around it."""

    config: SpecModel
    data: ResolvedData
    networks: Mapping[Name, Network]
    blocks: tuple[Block, ...]
    units: tuple[Unit, ...]
    instructions: tuple[AnyInstruction, ...]
    memory: Memory
    layout: Layout | None = None  # of a plan for one of several devices: it has the parts that are there

    @property
    def name(self) -> str:
        """The spec's name."""
        return self.config.name

    @cached_property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Networks of every optimizer group."""
        found: dict[str, list[str]] = {}
        for network in self.networks.values():
            if network.group is not None:
                found.setdefault(network.group, []).append(network.name)
        return {group: tuple(names) for group, names in found.items()}

    @property
    def batch(self) -> int:
        """How many samples of a full batch this device has."""
        size = self.config.data.batch_size
        return size if self.layout is None else len(self.layout.share(size))

    @cached_property
    def by_unit(self) -> dict[str, Unit]:
        """Units by name."""
        return {unit.name: unit for unit in self.units}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides the numbers of a run; of one rank's plan that of the whole.

        Names, the style of the YAML, where data and code lie and how they are read do not; nor does what is predicted
        of the memory, what is allowed, how often the run is saved, and what is told of it.
        """
        if self.layout is not None:
            return self.layout.whole
        return fingerprint_of(json.loads(self.to_json()), self.config)

    def to_json(self, *, indent: int | None = None) -> str:
        """One JSON document; `from_json` gives back an equal plan."""
        document = {"format_version": FORMAT_VERSION, **_adapter().dump_python(self, mode="json", by_alias=True)}
        return json.dumps(document, indent=indent, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote; `ValueError` where it did not, or where it was another version of specc."""
        document = mapping(text)
        version = document.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise ValueError(
                f"plan has format version {version!r:.40}, this specc reads {FORMAT_VERSION}: run its spec anew, or "
                "go on with the specc that wrote it"
            )
        try:
            return _adapter().validate_json(json.dumps(document))
        except ValidationError as error:
            raise ValueError(_first(error)) from None
        except RecursionError as error:
            raise ValueError(f"no plan was written like this: {error!r}") from error


def _first(error: ValidationError) -> str:
    """What is wrong first, on a line of its own: a key of a file may be any text."""
    found = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(f"{part!s:.60}" for part in found["loc"] if not str(part).startswith("function-"))
    said = (c if c.isprintable() else "\ufffd" for c in f"{where:.200}: {found['msg']:.200}")
    return f"no plan was written like this: {''.join(said)}"


@cache
def _adapter() -> TypeAdapter[Plan]:
    """Reads and writes plans."""
    return TypeAdapter(Plan)

"""The place of a unit: among those of its level, and while it is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from ..diagnostics import Diagnostic
from ..graph.graph import Graph, Layer
from ..learning.heads import Head
from ..plan import Block, Network
from ..spec.models import SpecModel
from ..spec.sections.auxiliary import Auxiliary, merge
from ..spec.sections.levels import Level
from .draft import Draft


@dataclass(frozen=True, slots=True)
class UnitPosition:
    """A unit by its number: what weights, overrides and the depth of a head may depend on."""

    level: Level
    number: int  # of its last block
    count: int  # blocks in all

    @property
    def last(self) -> bool:
        """Whether the unit ends where the backbone does."""
        return self.number == self.count - 1

    @property
    def exists(self) -> bool:
        """Whether the level has the unit."""
        return self.number >= self.level.first_end and self.number not in self.level.skip

    @property
    def index(self) -> int:
        """The unit's place in its level, skipped units counted."""
        return self.number - self.level.first_end

    @property
    def with_heads(self) -> int:
        """Units of the level that have auxiliary networks: all but the last, which has the backbone's own head."""
        return self.count - 1 - self.level.first_end

    @property
    def weight(self) -> float:
        """The factor on all its losses."""
        own = self.level.override(self.number)
        return self.level.weight if own is None or own[1].weight is None else own[1].weight

    def auxiliary(self, config: SpecModel) -> Auxiliary:
        """The configuration's auxiliary network with the level's and the unit's own changes."""
        own = self.level.override(self.number)
        return merge(config.auxiliary, self.level.auxiliary, own[1].auxiliary if own else None)


@dataclass
class Site:
    """The place of one unit, what is built there, and what is wrong with it."""

    draft: Draft
    number: int  # of the level
    position: UnitPosition
    end: Block
    start: int
    networks: dict[str, Network] = field(default_factory=dict)
    found: list[Diagnostic] = field(default_factory=list)
    linked: set[int] = field(default_factory=set)  # the EMA links that the unit was meant to have

    @property
    def name(self) -> str:
        """The unit's name."""
        return f"unit{self.end.index}.{self.level.name}"

    @property
    def level(self) -> Level:
        """Whose unit it is."""
        return self.position.level

    @property
    def last(self) -> bool:
        """Whether the unit ends where the backbone does."""
        return self.position.last

    @cached_property
    def reads(self) -> Layer:
        """The layer whose value the unit's links and heads read: the last one, or what `split.read` names.

        What does not cross the cut is of no use, which is said elsewhere.
        """
        graph, end = self.draft.graph, self.end.layers[-1]
        named = {graph.aliases.get(cut, cut): layer for cut, layer in self.draft.spec.config.split.read.items()}
        wanted = graph.aliases.get(named.get(end, end), named.get(end, end))
        layer = graph.layers[graph.index.get(wanted, graph.index[end])]
        crosses = layer.nodes[-1].name in self.draft.networks[self.end.name].graph.gives
        return layer if crosses else graph.layers[graph.index[end]]

    @property
    def skip(self) -> str:
        """The value that is read, where it is not the block's own."""
        return "" if self.reads.name == self.end.layers[-1] else self.reads.nodes[-1].name

    @property
    def heads(self) -> dict[str, Head]:
        """The heads of its auxiliary network, by their key in the spec."""
        return self.position.auxiliary(self.draft.spec.config).heads()

    def add_network(self, part: str, graph: Graph, group: str | None, others: tuple[Graph, ...] = ()) -> str:
        """Register a network of the unit and return its name."""
        name = f"{self.name}.{part}"
        self.networks[name] = Network(name, name + ".", graph, group, others=others)
        return name

"""What the passes hand to one another: the spec, and what is known of the plan so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..diagnostics import Diagnostic
from ..graph.graph import BackboneGraph
from ..plan import Block, Instruction, Memory, Network, Plan, Unit
from ..spec.load import Spec
from ..tasks.datasets import ResolvedData


@dataclass(frozen=True)
class Draft:
    """A plan in the making. Each pass fills in the next fields; a pass that finds errors leaves them as they were."""

    spec: Spec
    diagnostics: tuple[Diagnostic, ...] = ()
    data: ResolvedData | None = None
    backbone: BackboneGraph | None = None
    blocks: tuple[Block, ...] = ()
    networks: Mapping[str, Network] = field(default_factory=dict)
    units: tuple[Unit, ...] = ()
    instructions: tuple[Instruction, ...] = ()
    memory: Memory | None = None

    def updated(self, *found: Diagnostic, **changes: Any) -> Draft:
        """The draft with more diagnostics and further fields."""
        return replace(self, diagnostics=(*self.diagnostics, *found), **changes)

    @property
    def failed(self) -> bool:
        """Whether an error was found."""
        return any(d.is_error for d in self.diagnostics)

    @property
    def graph(self) -> BackboneGraph:
        """The backbone; only passes after `expand` may ask."""
        assert self.backbone is not None
        return self.backbone

    @property
    def predicted(self) -> Memory:
        """The memory; only after `schedule` may anyone ask."""
        assert self.memory is not None
        return self.memory

    @property
    def slices(self) -> int:
        """How many micro-batches a step's batch is divided into."""
        return self.spec.config.train.micro_batches

    @property
    def plan(self) -> Plan:
        """The plan of a scheduled draft; what was not predicted yet takes nothing."""
        config = self.spec.config  # the spec's own, with the split and the knobs that it left to the budget
        memory = self.memory or Memory(0, 0, {}, ())
        return Plan(config, self.info, self.networks, self.blocks, self.units, self.instructions, memory)

    @property
    def from_images(self) -> bool:
        """Whether the first block begins with the images; in a search it may begin further down."""
        return self.blocks[0].layers[0] == self.graph.layers[0].name

    @property
    def info(self) -> ResolvedData:
        """The data set's facts; only passes after `expand` may ask."""
        assert self.data is not None
        return self.data

"""Which stage has which block, unit and network of a plan, and does which of its instructions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import assert_never

from ..plan import (
    Backward,
    Block,
    Branch,
    BranchBackward,
    EmaUpdate,
    Evict,
    Extension,
    Forward,
    Free,
    Head,
    Instruction,
    Layout,
    Load,
    Network,
    Plan,
    Receive,
    ReceiveSources,
    Reduce,
    Send,
    SendSources,
    Step,
    Unit,
)
from .packages import homes


class Owners:
    """A unit is where its window ends: there its heads are, and the averages that they read through."""

    def __init__(self, plan: Plan, layout: Layout) -> None:
        self.plan, self.layout = plan, layout
        self._of_network = {block.name: layout.stage_of(block.index) for block in plan.blocks}
        for unit in plan.units:
            own = [name for head in unit.heads for name in head.networks]
            own += [name for link in unit.links for name in (link.ema, link.bias) if name]
            self._of_network |= dict.fromkeys(own, layout.stage_of(unit.end))

    def of(self, instruction: Instruction) -> int:
        """The stage that does an instruction of the whole."""
        match instruction:
            case Forward() | Backward():
                return self.layout.stage_of(instruction.block)
            case Branch() | Head() | BranchBackward() | EmaUpdate():
                return self.layout.stage_of(self.plan.by_unit[instruction.unit].end)
            case Step():
                return self._of_network[self.plan.groups[instruction.group][0]]
            case Extension():
                return min(self.homes[str(instruction)])
            case Load() | Evict():
                return self._of_state(instruction.state)
            case Free() | Reduce() | Send() | Receive() | SendSources() | ReceiveSources():
                raise ValueError(f"{instruction} is none of a plan for one device")
            case _:
                assert_never(instruction)

    @cached_property
    def homes(self) -> Mapping[str, frozenset[int]]:
        """Of every instruction of a package, by its name, the stages that have what it works on."""
        return homes(self.plan.instructions, len(self.layout.stages) - 1, self.of, self._of_anything)

    def _of_anything(self, state: str) -> int | None:
        """As `_of_state`; None of what is nowhere."""
        name = state.partition(":")[2]
        return self._of_state(state) if name in self.plan.groups or name in self.plan.by_unit else None

    def _of_state(self, state: str) -> int:
        kind, _, name = state.partition(":")
        return (
            self.layout.stage_of(self.plan.by_unit[name].end)
            if kind == "ema"
            else self._of_network[self.plan.groups[name][0]]
        )

    def of_block(self, name: str) -> int:
        """The stage that has a block."""
        return self._of_network[name]

    @property
    def networks(self) -> Mapping[str, Network]:
        """Those of this rank's stage."""
        return {n: network for n, network in self.plan.networks.items() if self._of_network[n] == self.layout.stage}

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Those of this rank's stage."""
        return tuple(b for b in self.plan.blocks if self.layout.stage_of(b.index) == self.layout.stage)

    @property
    def units(self) -> tuple[Unit, ...]:
        """Those that end in this rank's stage."""
        return tuple(u for u in self.plan.units if self.layout.stage_of(u.end) == self.layout.stage)

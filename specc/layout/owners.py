"""Which stage has which block, unit and network of a plan, and does which of its instructions."""

from __future__ import annotations

from collections.abc import Mapping
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
                return self._of_extension(instruction)
            case Load() | Evict():
                return self._of_state(instruction.state)
            case Free() | Reduce() | Send() | Receive() | SendSources() | ReceiveSources():
                raise ValueError(f"{instruction} is none of a plan for one device")
            case _:
                assert_never(instruction)

    def _of_state(self, state: str) -> int:
        kind, _, name = state.partition(":")
        return (
            self.layout.stage_of(self.plan.by_unit[name].end)
            if kind == "ema"
            else self._of_network[self.plan.groups[name][0]]
        )

    def _of_extension(self, instruction: Extension) -> int:
        """Where the state is that it works on; the compiler has said so where that is in several stages."""
        groups = sorted(name.partition(":")[2] for name in instruction.reads | instruction.writes if ":" in name)
        found = {self._of_network[self.plan.groups.get(group, (group,))[0]] for group in groups}
        return min(found, default=len(self.layout.stages) - 1)

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

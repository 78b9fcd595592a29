"""Which part of a run one of several devices has."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field


@dataclass(frozen=True, slots=True, order=True)
class Channel:
    """Between two stages, on which messages arrive in the order in which they were sent."""

    source: int
    to: int
    kind: Literal["values", "sources"] = "values"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which part of a run one of several devices has: stage `rank % stages` of copy `rank // stages`."""

    copies: int
    stages: tuple[int, ...]  # the first block of each
    rank: int
    whole: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]  # fingerprint of the plan for one device
    channels: tuple[Channel, ...] = ()  # between all its stages
    ahead: int = 0  # how many steps a stage may be ahead of the next one: of decoupled stages

    @property
    def copy(self) -> int:
        """Which copy of the network it belongs to."""
        return self.rank // len(self.stages)

    @property
    def stage(self) -> int:
        """Which stage of it."""
        return self.rank % len(self.stages)

    @property
    def last(self) -> bool:
        """Whether it has the network's end."""
        return self.stage == len(self.stages) - 1

    @property
    def count(self) -> int:
        """Of all devices."""
        return self.copies * len(self.stages)

    def rank_of(self, stage: int, copy: int | None = None) -> int:
        """The rank that has a stage of a copy, by default of its own."""
        return (self.copy if copy is None else copy) * len(self.stages) + stage

    def stage_of(self, block: int) -> int:
        """The stage that has a block."""
        return bisect_right(self.stages, block) - 1

    def share(self, samples: int) -> range:
        """Which of a batch's samples are this copy's; those of two copies differ by one in number at most."""
        return range(self.copy * samples // self.copies, (self.copy + 1) * samples // self.copies)

"""Which part of a run one of several devices has."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, PositiveInt


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
    slices: PositiveInt = 1  # of a batch
    sharded: bool = False  # whether every copy has a part of the parameters

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

    def share(self, samples: int) -> Sequence[int]:
        """Which of a batch's samples are this copy's: its part of every slice, one after the other."""
        parts = self._parts(samples)
        return parts[0] if len(parts) == 1 else [i for part in parts for i in part]

    def shown(self, samples: int) -> Sequence[int]:
        """Which of a batch's samples this copy looks at where nothing is learnt: its share.

        A copy without a share looks at the first one where others wait for its part of the parameters.
        """
        own = self.share(samples)
        return own if own or not self.sharded else range(1)

    def rows(self, samples: int) -> list[int]:
        """How many samples of every slice are this copy's."""
        return [len(part) for part in self._parts(samples)]

    def _parts(self, samples: int) -> list[range]:
        """Of every slice: all copies together have the slices that one device has, whose statistics a norm takes."""
        slices = divided(range(samples), self.slices)
        return [divided(each, self.copies)[(self.copy + i) % self.copies] for i, each in enumerate(slices)]


def divided(samples: range, count: int) -> list[range]:
    """So many successive parts, which differ by one in number at most.

    >>> divided(range(5), 2)
    [range(0, 2), range(2, 5)]
    """
    return [samples[i * len(samples) // count : (i + 1) * len(samples) // count] for i in range(count)]

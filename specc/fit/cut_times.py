"""Seconds in place of FLOPs, where a device is known: what the units at each cut take, and the passes between cuts.

The passes through the backbone are the same sum however it is cut, so only the units' own work tells splits apart. Cuts
between layers that are alike have units that are alike, and each kind is timed once.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..compiler.dependencies import by_blocks
from ..compiler.draft import Draft
from ..compiler.schedule import scheduled
from ..diagnostics.notices import progress
from ..plan import Backward, Evict, Forward, Free, Instruction, Load, Step
from ..plan.flops import flops_of
from ..profiles import Profile
from ..timing import step_time
from .cost_tables import Edges
from .interpolation import Array
from .splits import Splits


class Timed(NamedTuple):
    """The units at a cut, an image: their seconds and FLOPs, and seconds a FLOP of the passes through the blocks."""

    seconds: float
    flops: int
    passes: float


class CutTimes:
    """What windows take on a device, an image."""

    def __init__(self, splits: Splits, profile: Profile) -> None:
        self.splits, self.profile = splits, profile
        self.costs = splits.costs
        self.images = self.costs.config.data.batch_size
        self._known: dict[Hashable, Timed] = {}

    def of(self, edges: Edges) -> Array:
        """The seconds of each window."""
        last = edges.windows[:, -1]
        seconds, flops = self.units[:, last]
        return np.asarray((edges.flops - flops) * self.rate + seconds)

    @cached_property
    def rate(self) -> float:
        """Seconds a FLOP of the passes through the backbone, from the last cut that has units."""
        for cut in reversed(self.splits.cuts):
            if (found := self._timed(cut)) is not None:
                return found.passes
        return 0.0

    @cached_property
    def units(self) -> Array:
        """Seconds of the units at each place, and their FLOPs; at the end they are the same whatever the cuts."""
        found = np.zeros((2, len(self.costs.places)))
        for place, cut in enumerate(self.costs.places[1:-1], 1):
            if timed := self._timed(cut):  # or none can stand there, so that no window ends there
                found[:, place] = timed.seconds, timed.flops
        return found

    def _timed(self, cut: int) -> Timed | None:
        """What the units at a cut take."""
        key = self.costs.structure.at(cut)
        if key not in self._known:
            progress(f"timing the units at {len(self._known) + 1} kinds of cuts")
            draft = self.costs.units_at(cut)
            if draft is None:
                return None
            self._known[key] = self._parts(draft)
        return self._known[key]

    def _parts(self, draft: Draft) -> Timed:
        plan = draft.updated(instructions=scheduled(draft, by_blocks(draft))).plan
        seconds = step_time(plan, self.profile).instructions
        passes = [n for n, i in enumerate(plan.instructions) if isinstance(i, (Forward, Backward))]
        units = [n for n, i in enumerate(plan.instructions) if n not in passes and not _of_blocks(i)]
        spent = [flops_of([plan.instructions[n] for n in part], plan.networks, plan.units) for part in (passes, units)]
        taken = [sum(seconds[n] for n in part) / self.images for part in (passes, units)]
        views = plan.config.views
        return Timed(taken[1], views * spent[1], taken[0] / (views * spent[0]))


def _of_blocks(i: Instruction) -> bool:
    """Whether an instruction is there whatever the units."""
    if isinstance(i, Load | Evict):
        return i.state.startswith("params:block")
    return isinstance(i, Free) or (isinstance(i, Step) and i.group.startswith("block"))

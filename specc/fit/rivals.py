"""What else fits a budget, as rows: exact training of the same network beside the best of each local method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from ..profiles import Profile
from ..spec.knobs import in_a_name
from .attempts import Candidate
from .crossing import ALIKE, Range

WHOLE = "e2e"


@dataclass(frozen=True, slots=True)
class Rival:
    """One way to train the network."""

    method: str  # `e2e`, or a local one
    candidate: Candidate
    fits: bool
    turned: tuple[str, ...]  # as a spec says it, against the network as it is
    changes: tuple[str, ...]  # in the numbers, against end-to-end training as it is; nothing, where there are none
    ratio: float  # of its cost to that of end-to-end training as it is
    extra: float  # FLOPs beyond those, as a share of them
    pareto: bool = False  # no other has both a lower peak and less time

    @property
    def local(self) -> bool:
        """Whether its gradients are local."""
        return self.method != WHOLE

    @property
    def name(self) -> str:
        """What it is, as part of a spec's name."""
        return "_".join([self.method, *(in_a_name(each) for each in self.turned)])


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A method that cannot stand on the network."""

    method: str
    why: str  # the first thing that is wrong with it in two blocks, in words


@dataclass(frozen=True, slots=True)
class Rivals:
    """All of them under one budget."""

    budget: int
    plain: Candidate  # end to end, as it is
    rows: tuple[Rival, ...]
    left_out: tuple[LeftOut, ...] = ()
    wins: Range | None = None  # the budgets under which local learning is the faster, about
    profile: Profile | None = None  # of the device whose time it is
    equal_parts: tuple[str, ...] = ()  # methods whose cuts were not searched for
    all_or_nothing: tuple[str, ...] = ()  # methods of which no choice between all and no recomputation was looked at

    def fastest(self, *, local: bool, anything: bool = False) -> Rival | None:
        """Of the exact ones or of the local ones; in the spec's own precision, unless `anything` may change."""
        return min(self._fitting(local, anything), key=lambda rival: rival.candidate.cost, default=None)

    @property
    def chosen(self) -> Rival | None:
        """The fastest that fits in the spec's own precision, as nobody asked for another; of equals an exact one."""
        return self._quickest(anything=False)

    @property
    def quickest(self) -> Rival | None:
        """The fastest that fits, whatever its precision."""
        return self._quickest(anything=True)

    def _quickest(self, *, anything: bool) -> Rival | None:
        exact, local = (self.fastest(local=local, anything=anything) for local in (False, True))
        return local if exact is None or (local and local.ratio < exact.ratio * (1 - ALIKE)) else exact

    def floor(self, *, local: bool) -> Rival | None:
        """That with the lowest peak."""
        rows = [row for row in self.rows if row.local == local]
        return min(rows, key=lambda rival: rival.candidate.peak, default=None)

    def _fitting(self, local: bool, anything: bool) -> Iterator[Rival]:
        own = self.plain.config.train.precision
        for row in self.rows:
            if row.fits and row.local == local and (anything or row.candidate.config.train.precision == own):
                yield row


def marked(rows: Sequence[Rival]) -> tuple[Rival, ...]:
    """The rows with the Pareto front of peak and time marked."""
    lowest, front = inf, set[int]()
    for row in sorted(rows, key=lambda each: (each.candidate.cost, each.candidate.peak)):
        if row.candidate.peak < lowest:
            lowest = row.candidate.peak
            front.add(id(row))
    return tuple(replace(row, pareto=id(row) in front) for row in rows)

"""What came of a comparison, spec by spec: means over the seeds, and how far they are apart."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..plan import Plan
from ..plan.flops import step_flops
from ..runs import RunRecord, Status
from ..runs.scores import Score, score
from ..runs.summary import Summary
from .jobs import Standing


@dataclass(frozen=True, slots=True)
class Spread:
    """The mean of a figure over runs, and the sample standard deviation, which one run alone has none of."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of at least one."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """With n - 1 in the denominator."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True, slots=True)
class Row:
    """One spec and all its runs."""

    label: str
    spec: Path
    plan: Plan
    standings: tuple[Standing, ...]

    @property
    def completed(self) -> list[RunRecord]:
        """The runs that the figures are of."""
        return [s.record for s in self.standings if s.record and s.record.status is Status.COMPLETED]

    @property
    def said(self) -> list[Summary]:
        """What they say."""
        return [record.said for record in self.completed]

    @property
    def scores(self) -> list[Score]:
        """How good their networks are."""
        return [found for record in self.completed if (found := score(record))]

    @property
    def accuracy(self) -> Spread | None:
        """Of the scores."""
        return Spread(tuple(found.value for found in self.scores)) if self.scores else None

    @property
    def units(self) -> dict[str, Spread]:
        """How good every unit is that tells by itself, in the order of the network."""
        told = [said.units.test or said.units.validation for said in self.said]
        names = list(dict.fromkeys(name for each in told for name in each))
        return {name: Spread(tuple(each[name] for each in told if name in each)) for name in names}

    @property
    def relative_flops(self) -> float:
        """A step's, against end-to-end training of the same backbone: one forward and twice as much backward."""
        return step_flops(self.plan) / (3 * sum(n.graph.flops for n in self.plan.networks.values() if not n.prefix))

    def spread(self, figures: Sequence[float | None]) -> Spread | None:
        """Of those that are known."""
        known = tuple(figure for figure in figures if figure)
        return Spread(known) if known else None

    @property
    def step_seconds(self) -> Spread | None:
        """Medians of steps."""
        return self.spread([said.step_seconds_median for said in self.said])

    @property
    def wall_seconds(self) -> Spread | None:
        """From a run's beginning to its end."""
        return self.spread([said.wall_seconds for said in self.said])

    @property
    def predicted_bytes(self) -> int:
        """By the rules of the device that trained."""
        return max((s.memory.predicted_peak_bytes for s in self.said), default=self.plan.memory.peak_bytes)

    @property
    def measured_bytes(self) -> int | None:
        """The most of all runs."""
        return max((s.memory.measured_peak_bytes for s in self.said), default=None)


def labels(specs: Sequence[Path], plans: Sequence[Plan]) -> list[str]:
    """What the rows are called: by the specs' names, and by their files where two have one name."""
    names = [plan.name for plan in plans]
    return [name if names.count(name) == 1 else f"{name} ({path})" for name, path in zip(names, specs, strict=True)]


def remarks(rows: Sequence[Row]) -> Iterator[str]:
    """What to know before one figure is held against another."""
    for row in rows:
        for each in row.standings:
            yield from each.remarks
            if each.record and each.record.said.stopped_early:
                yield f"{each.job}: {each.record.said.stopped_early}"
    said = [(each.device.partition(":")[0], each.hardware) for row in rows for each in row.said]
    if len(where := list(dict.fromkeys(said, None))) > 1:
        told = "; ".join(_machine(device, hardware) for device, hardware in where)
        yield f"the runs were not all made on the same machine in the same way, so their times say little: {told}"


def _machine(device: str, hardware: object) -> str:
    said = {key: getattr(hardware, key) for key in ("processor", "gpu", "cores", "threads", "torch")}
    which = said["gpu"] or said["processor"] or device or "not known"
    return f"{which}, {said['threads'] or '?'} of {said['cores'] or '?'} cores, torch {said['torch'] or '?'}"

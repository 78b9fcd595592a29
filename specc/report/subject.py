"""What a report is about: a run, as its directory tells it, and the figures that several parts of the report need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..plan import Plan, Unit
from ..runs.metrics import HALVES
from ..runs.record import RunRecord, Status, read_run
from ..runs.summary import Memory
from ..system.plugins import PluginError
from ..tasks.registry import TASKS
from ..tasks.task import Task
from . import measured
from .measured import Measured, StepTaken

Curve = list[tuple[int, float]]  # epochs, and what was found after them


@dataclass(frozen=True)
class Subject:
    """One run; `label` is what it is called among those of a report."""

    record: RunRecord
    label: str
    measured: Measured = field(default_factory=Measured)
    remarks: tuple[str, ...] = ()

    @property
    def plan(self) -> Plan | None:
        """What was trained, where that can still be read."""
        return self.record.plan

    @property
    def memory(self) -> Memory:
        """Predicted, measured, allowed: by the summary, or by the plan where there is none."""
        said, plan = self.record.said.memory, self.plan
        if said.predicted_peak_bytes or plan is None:
            return said
        budget = plan.config.budget
        return Memory(budget_bytes=budget.memory if budget else None, predicted_peak_bytes=plan.memory.peak_bytes)

    @property
    def over_budget(self) -> bool:
        """Whether a step took more than was allowed, or did not get it."""
        memory = self.memory
        return bool(memory.budget_bytes) and (
            not memory.within_budget or memory.measured_peak_bytes > (memory.budget_bytes or 0)
        )

    @cached_property
    def task(self) -> Task | None:
        """What was learnt."""
        name = self.plan.config.task if self.plan else self.record.said.task
        try:
            return TASKS.get(name)
        except PluginError:
            return None

    @property
    def samples(self) -> str:
        """What many of its samples are called: images, texts."""
        return self.task.samples if self.task else "images"

    @property
    def one_sample(self) -> str:
        """What one is called, with its article."""
        return self.task.one if self.task else "an image"

    @property
    def metric(self) -> str:
        """The one that counts."""
        return self.task.metrics[0] if self.task else "accuracy"

    @property
    def half(self) -> str:
        """What the network is looked at after every epoch, as metrics.csv begins its columns."""
        columns = self.record.metrics[0] if self.record.metrics else {}
        return "val" if any(name.startswith("val_") for name in columns) else "test"

    @property
    def half_in_words(self) -> str:
        """The same, as people say it."""
        return HALVES[self.half]

    def curve(self, column: str) -> Curve:
        """A column of metrics.csv; rows in which it is no number are left out."""
        found = ((row.get("epoch"), row.get(column)) for row in self.record.metrics)
        return [(int(epoch), value) for epoch, value in found if epoch is not None and value is not None]

    @cached_property
    def network(self) -> Curve:
        """The metric that counts, of the network."""
        return self.curve(f"{self.half}_{self.metric}")

    @cached_property
    def unit_columns(self) -> dict[str, str]:
        """The column of every head that answers by itself, by its name, the deepest last."""
        return {name: f"{self.half}_{name}.{self.metric}" for name, _ in self.answering}

    def short(self, name: str) -> str:
        """What a unit is called here: without its level, where there is one only."""
        levels = {unit.level for unit in self.plan.units} if self.plan else set()
        return name.replace(f".{next(iter(levels))}", "", 1) if len(levels) == 1 else name

    @cached_property
    def answering(self) -> list[tuple[str, Unit]]:
        """What answers by itself what the network is to tell, as metrics.csv names it, level by level."""
        units = self.plan.units if self.plan and len(self.plan.blocks) > 1 else ()  # of one block is the network
        names = [
            (f"{unit.name}.{head.name}" if len(unit.telling) > 1 else unit.name, unit)
            for unit in units
            for head in unit.telling
        ]
        known = self.record.metrics[-1] if self.record.metrics else {}
        return [(name, unit) for name, unit in names if known.get(f"{self.half}_{name}.{self.metric}") is not None]

    @cached_property
    def worth(self) -> dict[str, float]:
        """The last figure of everything that answers by itself."""
        return {name: curve[-1][1] for name, column in self.unit_columns.items() if (curve := self.curve(column))}

    @property
    def result(self) -> tuple[str, Mapping[str, float]]:
        """What the network is worth, and on what: the test set where it was looked at, else the last epoch's half."""
        said = self.record.said
        for half, found in (("test", said.test), ("validation", said.validation)):
            if found:
                return half, found
        last = self.record.metrics[-1] if self.record.metrics else {}
        start = f"{self.half}_"
        found = {k.removeprefix(start): v for k, v in last.items() if k.startswith(start) and v is not None}
        return self.half_in_words, {name: value for name, value in found.items() if "." not in name}

    @property
    def step(self) -> StepTaken | None:
        """What every instruction takes, if it is of this plan."""
        step, plan = self.measured.step, self.plan
        if step is None or plan is None or step.plan_fingerprint != plan.fingerprint:
            return None
        return step if max(len(step.seconds), len(step.peak_bytes)) <= len(plan.instructions) else None

    def class_name(self, number: int) -> str:
        """What a class is called."""
        data = self.plan.data if self.plan else None
        return data.class_name(number) if data and number < max(data.classes, len(data.class_names)) else str(number)


def subjects(folders: Sequence[Path]) -> list[Subject]:
    """The runs of some folders, each by a name of its own."""
    records = [read_run(folder) for folder in folders]
    return [_subject(record, label) for record, label in zip(records, _labels(records), strict=True)]


def _subject(record: RunRecord, label: str) -> Subject:
    found, wrong = measured.read(record.path)
    return Subject(record, label, found, (*record.remarks, *([wrong] if wrong else [])))


def _labels(records: Sequence[RunRecord]) -> list[str]:
    """Names of specs, with the folder where several have the same, and a number where that is not enough."""
    names = [record.name for record in records]
    longer = [
        f"{name} ({record.path.name})" if names.count(name) > 1 else name
        for name, record in zip(names, records, strict=True)
    ]
    return [
        f"{name} #{longer[:place].count(name) + 1}" if longer.count(name) > 1 else name
        for place, name in enumerate(longer)
    ]


__all__ = ["Curve", "Status", "Subject", "subjects"]

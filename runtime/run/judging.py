"""`specc evaluate`: how good a run's network is, as a whole, unit by unit and class by class."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from specc.diagnostics.notices import counted, doing
from specc.plan import Plan
from specc.tasks.registry import TASKS
from specc.tasks.task import Task

from ..data import Loader
from ..data.opening import open_data, root_of_resumed
from ..data.splits import Split, Splits
from ..errors import RunError
from .durable import write_file
from .evaluation import evaluated
from .metrics import average_precisions, confusion, confusion_of_classes, scores
from .trained import Trained, explained, finite

CORNER = "is / told"  # of a confusion matrix: rows are what is right, columns what was told


@dataclass
class Tally:
    """What is counted for every class, of a task that has them: a confusion matrix, or scores."""

    kind: str
    held: list[Tensor] = field(default_factory=list)

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """One batch more."""
        if self.kind == "multi_label":
            self.held.append(scores(outputs, targets).cpu())
        elif self.kind in ("class", "map"):
            found = (confusion_of_classes if self.kind == "class" else confusion)(outputs, targets)
            self.held = [self.held[0] + found] if self.held else [found]

    @property
    def matrix(self) -> Tensor | None:
        """The confusion matrix, of a task that has one."""
        return self.held[0].cpu() if self.held and self.kind != "multi_label" else None

    def rows(self, named: Callable[[int], str]) -> Iterator[dict[str, Any]]:
        """The figures of every class, None where there is nothing to tell them of."""
        if self.kind == "multi_label" and self.held:
            known = torch.cat(self.held, 1)
            for number, (count, precision) in enumerate(zip(known[1].sum(0), average_precisions(known), strict=True)):
                yield {"class": named(number), "samples": int(count), "average_precision": precision}
        if (matrix := self.matrix) is None:
            return
        right, there, told = matrix.diagonal().tolist(), matrix.sum(1).tolist(), matrix.sum(0).tolist()
        for number, (hits, samples, said) in enumerate(zip(right, there, told, strict=True)):
            row = {"class": named(number), "samples" if self.kind == "class" else "pixels": samples}
            row |= {"accuracy": _share(hits, samples), "precision": _share(hits, said)}
            yield row | ({"iou": _share(hits, samples + said - hits)} if self.kind == "map" else {})


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def judge(who: Trained, on: str | None, table: Path | None) -> dict[str, Any]:
    """A document of all there is to tell of the network on one part of its data; `table` is a file for a matrix."""
    plan = who.plan
    task = TASKS[plan.config.task]
    if table is not None and task.kind not in ("class", "map"):
        raise RunError(f"the task `{task.name}` has no confusion matrix: a sample has no class", ("leave it away",))
    splits = open_data(plan, root_of_resumed(plan, who.run.known("env.json", "data_root"))[0])
    name, split = _part(splits, on)
    tally = Tally(task.kind)

    def seen(outputs: Tensor, targets: Tensor) -> None:
        tally.add(finite(outputs, who), targets)

    data = _loader(who, split, task)
    with explained(), doing("evaluating") as so_far:
        found = evaluated(who.session, counted(data.parts(0), so_far, len(data)), units=True, seen=seen)
    if table is not None and (matrix := tally.matrix) is not None:
        write_file(table, _csv(plan, matrix))
    return {
        **who.facts,
        "on": name,
        "samples": len(split),
        "metrics": found.whole,
        "units": found.units,
        "classes": list(tally.rows(plan.data.class_name)),
    }


def _part(splits: Splits, on: str | None) -> tuple[str, Split]:
    """The part of a name; by default the test set, or what is validated on where there is none."""
    parts = {"test": splits.test, "validation": splits.validation, "train": splits.train}
    known = {name: split for name, split in parts.items() if split is not None}
    name = on or next(iter(known))
    if name not in known:
        help = (f"there are: {', '.join(known)}",)
        raise RunError(f"the data of the run have no part for {name}", help)
    return name, known[name]


def _loader(who: Trained, split: Split, task: Task) -> Loader:
    return Loader(
        split, who.plan.config.together, seed=0, train=False, device=who.session.device,
        memory_format=who.session.model.memory_format, target=getattr(torch, task.target.dtype),
    )  # fmt: skip


def _csv(plan: Plan, matrix: Tensor) -> str:
    text = io.StringIO()
    names = [plan.data.class_name(number) for number in range(plan.data.classes)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([CORNER, *names])
    writer.writerows([name, *row] for name, row in zip(names, matrix.tolist(), strict=True))
    return text.getvalue()

"""What is said of a network's outputs, by the names that tasks give: statistics of batches, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from specc.tasks.segmentation import IGNORED
from specc.tasks.task import Task

from ..engine.losses import loss_function
from ..named import named

Statistic = Callable[[Tensor, Tensor], Tensor]  # of (outputs, targets) of a batch


@dataclass(frozen=True, slots=True)
class Metric:
    """A number between 0 and 1, the higher the better.

    Statistics of batches are `summed` where they are, or kept one and all on the host, side by side in dimension 1.
    """

    statistic: Statistic
    value: Callable[[Tensor], Tensor]
    summed: bool = True

    def of(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of one batch alone."""
        return self.value(self.statistic(outputs, targets))

    def add(self, held: list[Tensor], outputs: Tensor, targets: Tensor) -> None:
        """Put a batch's statistic to those that are held."""
        self.put(held, self.statistic(outputs, targets))

    def put(self, held: list[Tensor], found: Tensor) -> None:
        """Put a statistic to those that are held."""
        held[:] = [held[0] + found] if held and self.summed else [*held, found if self.summed else found.cpu()]


@dataclass
class Evaluation:
    """Metrics of a task, all of them where none are named, and the loss if it is `judged`, over a set of samples."""

    task: Task
    metrics: tuple[str, ...] = ()
    judged: bool = True
    count: int = 0
    loss: Tensor | float = 0.0
    held: dict[Statistic, list[Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.metrics = self.metrics or self.task.metrics

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """One batch more."""
        self.count += len(targets)
        if self.judged:
            self.loss = self.loss + loss_function(self.task.loss)(outputs, targets) * len(targets)
        metrics = [metric(self.task, name) for name in self.metrics]
        for statistic, each in {metric.statistic: metric for metric in metrics}.items():
            each.add(self.held.setdefault(statistic, []), outputs, targets)

    def tensors(self) -> dict[str, Tensor]:
        """What was counted so far."""
        found = {"count": torch.tensor(self.count), "loss": torch.as_tensor(self.loss)} if self.count else {}
        return found | {f"held {name}": self._held(metric(self.task, name)) for name in self.metrics if self.count}

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Count what another one has counted, as its `tensors` say."""
        if not tensors:
            return
        self.count += int(tensors["count"])
        self.loss = self.loss + tensors["loss"]
        named = {metric(self.task, name).statistic: name for name in self.metrics}
        for statistic, name in named.items():
            metric(self.task, name).put(self.held.setdefault(statistic, []), tensors[f"held {name}"])

    def figures(self) -> dict[str, float]:
        """The metrics, the one that counts first, then the mean loss of a sample."""
        found = {name: self._value(metric(self.task, name)) for name in self.metrics}
        return found | ({"loss": float(self.loss) / self.count} if self.judged else {})

    def _value(self, metric: Metric) -> float:
        return float(metric.value(self._held(metric)))

    def _held(self, metric: Metric) -> Tensor:
        held = self.held[metric.statistic]
        return held[0] if metric.summed else torch.cat(held, 1)


def metric(task: Task, name: str) -> Metric:
    """One of a task's metrics: of its package's own, or of specc's."""
    own: Mapping[str, Metric] = named(task.torch, f"the task `{task.name}`") if task.torch else {}
    return own[name] if name in own else METRICS[name]


def _counted(found: Tensor) -> Tensor:
    """How many are told right, and how many there are."""
    return torch.stack([found.sum(), torch.ones_like(found).sum()])


def most(classes: Tensor) -> Tensor:
    """The class of every sample; of a mixture the one that it has most of."""
    return classes.argmax(1) if classes.is_floating_point() else classes


def share(counts: Tensor) -> Tensor:
    """The first of two counts as a part of the second."""
    return counts[0] / counts[1].clamp(min=1)


def scores(outputs: Tensor, targets: Tensor) -> Tensor:
    """Outputs and targets as they are: (2, N, classes)."""
    return torch.stack([outputs, targets.to(outputs.dtype)])


def mean_average_precision(known: Tensor) -> Tensor:
    """The mean over the classes that occur of the area below precision over recall, as scikit-learn's steps make it."""
    found = [precision for precision in average_precisions(known) if precision is not None]
    return torch.tensor(found, dtype=torch.float64).mean() if found else torch.zeros(())


def average_precisions(known: Tensor) -> list[float | None]:
    """Of every class; None of one that does not occur."""
    return [float(_average_precision(*pair)) if pair[1].any() else None for pair in known.double().unbind(2)]


def _average_precision(score: Tensor, truth: Tensor) -> Tensor:
    """Of one class: samples of equal scores are found together."""
    score, order = score.sort(descending=True)
    last = torch.cat([score[1:] != score[:-1], score.new_ones(1, dtype=torch.bool)]).nonzero().flatten()
    hits = truth[order].cumsum(0)[last]
    return (hits / (last + 1) * hits.diff(prepend=hits.new_zeros(1))).sum() / hits[-1]


def confusion(outputs: Tensor, masks: Tensor) -> Tensor:
    """How many pixels of each class (rows) were told to be of each class (columns)."""
    classes, counts = outputs.shape[1], masks != IGNORED
    pairs = masks[counts] * classes + outputs.argmax(1)[counts]
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


def confusion_of_classes(outputs: Tensor, labels: Tensor) -> Tensor:
    """How many samples of each class (rows) were told to be of each class (columns)."""
    classes = outputs.shape[1]
    return torch.bincount(labels * classes + outputs.argmax(1), minlength=classes**2).view(classes, classes)


def mean_iou(matrix: Tensor) -> Tensor:
    """Intersection over union, a mean over the classes that are there or were told to be."""
    union = matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
    return (matrix.diagonal() / union.clamp(min=1)).sum() / (union > 0).sum().clamp(min=1)


def right_pixels(outputs: Tensor, masks: Tensor) -> Tensor:
    """How many pixels are told right, and how many count; no class is called as those that do not."""
    return torch.stack([(outputs.argmax(1) == masks).sum(), (masks != IGNORED).sum()])


METRICS: dict[str, Metric] = {
    "accuracy": Metric(lambda outputs, classes: _counted(outputs.argmax(1) == most(classes)), share),
    "label_accuracy": Metric(lambda outputs, labels: _counted((outputs > 0) == (labels > 0.5)), share),
    "mean_average_precision": Metric(scores, mean_average_precision, summed=False),
    "mean_iou": Metric(confusion, mean_iou),
    "pixel_accuracy": Metric(right_pixels, share),
}

"""Check 2, continued: what is chosen by figures of an evaluation, and by which images."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics import Diagnostic, did_you_mean
from ...language.source import Path
from ...spec.sections.checkpoint import KeepBest
from ...spec.sections.early_stopping import EarlyStopping
from ...spec.sections.train import Train
from ...tasks.datasets import INFO
from ...tasks.registry import TASKS
from ..draft import Draft


def choices(train: Train) -> Iterator[tuple[EarlyStopping | KeepBest, Path]]:
    """What a training chooses by an evaluation: when it is over, and which checkpoint is the best."""
    if train.early_stopping:
        yield train.early_stopping, ("train", "early_stopping")
    if train.checkpoint.keep_best:
        yield train.checkpoint.keep_best, ("train", "checkpoint", "keep_best")


def chosen(draft: Draft) -> Iterator[Diagnostic]:
    """Choices are made by figures that there are, and not by the images that the result is tested on."""
    for choice, at in choices(draft.spec.config.train):
        yield from _metric(draft, choice, at)
        yield from _on_the_test_set(draft, choice, at)


def _metric(draft: Draft, choice: EarlyStopping | KeepBest, at: Path) -> Iterator[Diagnostic]:
    spec = draft.spec
    known = (*TASKS[spec.config.task].metrics, "loss")
    if choice.metric and choice.metric not in known:
        message = f"the evaluation of the task `{spec.config.task}` has no figure `{choice.metric}`"
        help = did_you_mean(choice.metric, known)
        yield spec.error("SPC218", message, *at, "metric", label="unknown metric", help=help)


def _on_the_test_set(draft: Draft, choice: EarlyStopping | KeepBest, at: Path) -> Iterator[Diagnostic]:
    """Folders, and data sets of packages, may come with images for validation: that is seen when they are opened."""
    spec, data = draft.spec, draft.spec.config.data
    known = INFO[data.dataset]
    if data.validation is not None or known.kept == "folder" or known.torch:
        return
    samples = spec.config.samples
    stops = isinstance(choice, EarlyStopping)
    what = "when to stop" if stops else "which checkpoint is the best"
    message = f"there are no {samples} for validation: {what} would be chosen by the test set, which is no test then"
    said = spec.error if stops else spec.warning
    help = (f"`data.validation: 0.1` keeps a tenth of the training {samples} apart for it",)
    yield said("SPC650", message, *at, label="looks at the test set", help=help, key=True,
               secondary=spec.beside("the data set", "data", "dataset"))  # fmt: skip

"""What is said of a model is of the images, however they are divided into batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from runtime.data import Loader
from runtime.run.averages import Averages

from .documents import compiled
from .test_resume import TINY, trainer_of


def test_an_evaluation_is_the_mean_over_all_images(tmp_path: Path) -> None:
    data = TINY["data"] | {"samples": 40, "batch_size": 8}
    trainer = trainer_of(compiled(**TINY | {"data": data}, train={"epochs": 1}), tmp_path)
    size = len(trainer.splits.test)
    assert [len(labels) for _, labels in trainer.test_data.epoch(0)] == [8, 2]
    test = trainer.train()["test"]
    ((images, labels),) = Loader(trainer.splits.test, size, seed=0, train=False).epoch(0)
    logits = trainer.session.predict(images)
    right = (logits.argmax(1) == labels).float()
    losses = F.cross_entropy(logits, labels, reduction="none")
    by_batch = [float(torch.stack([part.mean() for part in each.split(8)]).mean()) for each in (right, losses)]
    assert test["loss"] == pytest.approx(float(losses.mean()), rel=1e-5)
    assert test["accuracy"] == pytest.approx(float(right.mean()), rel=1e-6)
    assert test["loss"] != pytest.approx(by_batch[1], rel=1e-4), "or this test shows nothing"


def test_means_are_weighted_by_images() -> None:
    averages = Averages()
    averages.add({"loss": torch.tensor(1.0)}, 3)
    averages.add({"loss": torch.tensor(5.0)}, 1)
    assert averages.means() == {"loss": 2.0}


def test_averages_are_what_they_were() -> None:
    averages = Averages()
    values: dict[str, Any] = {"loss": torch.rand(()), "accuracy": torch.rand(())}
    averages.add(values, 3)
    again = Averages.of(averages.tensors(), torch.device("cpu"))
    for each in (averages, again):
        each.add(values, 7)
    assert again.count == averages.count == 10
    assert again.means() == averages.means()

"""N steps, a stop in the middle of an epoch and N more are 2N steps: weights, optimizers, the scaler and every row."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from runtime.run.trainer import Trainer
from specc.plan import Plan

from . import small_data as small
from .documents import HPFF, MAN, Document, compiled
from .test_resume import resumed, rows, stopped, trainer_of
from .test_runtime import assert_same, tensors

EPOCHS, STEPS = 2, 4
LAYERS = [
    {"name": "a", "op": "conv_bn_relu", "out": 4}, {"name": "drop", "op": "dropout", "p": 0.5},
    {"name": "b", "op": "conv_bn_relu", "out": 4}, {"name": "c", "op": "conv_bn_relu", "out": 4},
    {"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 3},
]  # fmt: skip
METHODS: dict[str, Document] = {
    "MAN and HPFF": {**MAN, **HPFF},
    "Forward-Forward": {"auxiliary": {"goodness": {"negatives": "images"}}},
}
AUGMENT = {
    "MAN and HPFF": [{"random_resized_crop": {"scale": [0.5, 1.0]}}, "trivial_augment", {"mixup": 0.4}],
    "Forward-Forward": "paper",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images of three classes to train on, six to test on, each of its own."""
    counts = {"train": 4, "val": 2}
    places = [(half, name, i) for half, count in counts.items() for name in ("ant", "bee", "cat") for i in range(count)]
    images = small.pixels(len(places), 14, 12, 3)
    files = {f"{half}/{name}/{i}.png": small.png(image) for (half, name, i), image in zip(places, images, strict=True)}
    return small.put(tmp_path_factory.mktemp("images"), files)


def plan_of(method: str, root: Path, workers: int) -> Plan:
    data = {"dataset": "image_folder", "root": str(root), "image_size": 8, "classes": 3, "batch_size": 3}
    options = {"augment": AUGMENT[method], "workers": workers}
    return compiled(
        data=data | options, backbone={"layers": LAYERS}, split={"after": ["drop", "b"]}, **METHODS[method],
        train={"epochs": EPOCHS, "precision": "fp16", "schedule": {"name": "cosine"}},
    )  # fmt: skip


def state(trainer: Trainer) -> dict[str, Tensor]:
    """All that the next step would depend on."""
    optimizers = {
        f"{group}/{index}/{name}": torch.as_tensor(value)
        for group, optimizer in trainer.session.optimizers.items()
        for index, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }
    scaler = {f"scaler/{name}": torch.as_tensor(value) for name, value in trainer.session.scaler.state_dict().items()}
    return tensors(trainer.session) | optimizers | scaler


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("method", METHODS)
def test_two_halves_are_the_whole(method: str, workers: int, root: Path, tmp_path: Path) -> None:
    whole = trainer_of(plan_of(method, root, 0), tmp_path / "whole")
    assert len(whole.train_data) == STEPS
    whole.train()
    plan = plan_of(method, root, workers)
    stopped(trainer_of(plan, tmp_path / "halves"), epoch=1, step=1)
    torch.manual_seed(1)  # another process has drawn something else
    rest = resumed(plan, tmp_path / "halves")
    rest.train()
    assert_same(state(rest), state(whole))
    assert rows(tmp_path / "halves") == rows(tmp_path / "whole")

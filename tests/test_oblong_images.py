"""Images that are wider than high, or higher than wide: `image_size: [height, width]` from the spec to every file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import specc
from runtime import Session
from runtime.data import DataConfig, open_dataset
from runtime.data.draws import Draws
from runtime.memory.trace import trace
from specc.checking import check_text
from specc.memory.prediction import as_traced
from specc.plan import Plan
from specc.spec.load import loads

from .commands import specc as command
from .documents import Document

HEIGHT, WIDTH = 16, 24
VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "patch_size": 8}
BACKBONES: dict[str, Document] = {
    "resnet_cifar": {"family": "resnet_cifar", "depth": 8, "widths": [4, 4, 6, 8]},
    "vit": {"family": "vit", "width": 8, "heads": 2, "depth": 2, "mlp": 8, "patch": 4},
    "of_hugging_face": {"transformers": "vit", "args": VIT},
    "of_timm": {"timm": "test_vit"},
}


def document(backbone: Document, **data: Any) -> Document:
    facts = {"dataset": "synthetic", "image_size": [HEIGHT, WIDTH], "channels": 3, "classes": 3, "samples": 24}
    return {
        "specc": 1, "name": "oblong", "data": facts | {"batch_size": 4} | data, "backbone": backbone,
        "split": {"blocks": 2}, "train": {"epochs": 1, "optimizer": {"name": "sgd", "lr": 0.01}},
    }  # fmt: skip


def planned(backbone: Document, **data: Any) -> Plan:
    return specc.compile(loads(json.dumps(document(backbone, **data))))


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("size", [[16, 32], [32, 16]], ids=["wide", "high"])
def test_a_step_of_every_kind_of_backbone_takes_what_is_predicted(name: str, size: list[int]) -> None:
    plan = planned(BACKBONES[name], image_size=size)
    assert plan.data.shape == (3, *size)
    session = Session(plan, dtype=torch.float64)
    step = session.train_step(torch.rand(4, 3, *size, dtype=torch.float64), torch.arange(4) % 3)
    assert all(bool(loss.isfinite()) for loss in step.total.values())
    assert as_traced(plan).peak_bytes == pytest.approx(trace(plan).peak_bytes, rel=0.01)


@pytest.mark.parametrize("size", [[16, 24], [24, 16]], ids=["width", "height"])
def test_patches_that_divide_one_side_alone_are_refused_with_those_that_divide_both(size: list[int]) -> None:
    (found,) = check_text(json.dumps(document(BACKBONES["vit"] | {"patch": 16}, image_size=size))).diagnostics
    assert (found.code, found.label) == ("SPC301", "does not divide the image")
    assert found.help == ("sides that divide height and width: 4 and 8; or another `data.image_size`",)


def test_a_network_that_reads_squares_alone_says_so_at_its_place() -> None:
    (found,) = check_text(json.dumps(document({"torchvision": "vit_b_16"}, image_size=[32, 64]))).diagnostics
    assert found.code == "SPC301"
    assert "Wrong image width! Expected 32 but got 64" in found.message
    assert found.label == "reads others"
    assert "it may read squares alone: `image_size` of one number" in found.help


MOVING: list[Any] = [{"random_crop": {"padding": 3}}, "horizontal_flip", "vertical_flip", {"random_rotation": 10}]


STEPS = [*MOVING, {"random_resized_crop": [0.3, 1.0]}, {"random_erasing": {}}, {"cutmix": 1.0}]
NAMES = [step if isinstance(step, str) else next(iter(step)) for step in STEPS]


@pytest.mark.parametrize("step", STEPS, ids=NAMES)
def test_every_augmentation_gives_images_of_the_size_that_is_asked_for(step: Any) -> None:
    spec = loads(json.dumps(document(BACKBONES["resnet_cifar"], augment=[step])))
    config = DataConfig(**spec.config.data.model_dump() | {"augment": spec.config.data.augment})
    splits = open_dataset(config)
    ((images, _),) = splits.train.batches([np.arange(4)], Draws(0, 0))
    assert images.shape == (4, 3, HEIGHT, WIDTH)


def test_a_padded_crop_moves_both_ways_by_as_much() -> None:
    config = DataConfig("digits", augment="paper", image_size=(8, 12))
    images, _ = next(iter(open_dataset(config).train.batches([np.arange(6)], Draws(0, 0))))
    assert images.shape == (6, 1, 8, 12)


def test_a_run_on_oblong_images_is_trained_judged_shown_and_exported(tmp_path: Path) -> None:
    """The size comes from the command line; everything that comes of the run has height before width."""
    spec = tmp_path / "oblong.yaml"
    text = document(BACKBONES["resnet_cifar"], image_size=8, augment=MOVING[:2])
    spec.write_text(json.dumps(text), encoding="utf-8")
    size = f"data.image_size=[{HEIGHT},{WIDTH}]"
    assert command("validate", spec, size, cwd=tmp_path).returncode == 0
    assert f"4×{HEIGHT}×{WIDTH}" in command("graph", spec, size, cwd=tmp_path).stdout
    done = command("run", spec, size, "--run-dir", "run", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"image_size: [{HEIGHT}, {WIDTH}]" in (tmp_path / "run" / "spec.resolved.yaml").read_text("utf-8")
    memory = json.loads((tmp_path / "run" / "summary.json").read_text("utf-8"))["memory"]
    assert memory["measured_peak_bytes"] == pytest.approx(memory["predicted_peak_bytes"], rel=0.02)
    assert command("evaluate", "run", cwd=tmp_path).returncode == 0
    Image.new("RGB", (50, 20), "red").save(tmp_path / "red.png")
    assert "red.png" in command("predict", "run", "red.png", cwd=tmp_path).stdout
    assert command("export", "run", "--to", "torch_export", "-o", "net.pt2", cwd=tmp_path).returncode == 0
    network = torch.export.load(tmp_path / "net.pt2").module()
    assert network(torch.rand(2, 3, HEIGHT, WIDTH)).shape == (2, 3)

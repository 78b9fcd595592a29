"""Networks with one class a pixel: local heads answer for every pixel, K = 2 is a plain loop, memory is the trace's."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import specc
from runtime import Session
from runtime.data import Loader
from runtime.data.opening import open_data
from runtime.memory.trace import trace
from specc.checking import check_text
from specc.graph.ops import Resize
from specc.memory.prediction import as_traced
from specc.plan import Plan
from specc.tasks.segmentation import IGNORED

from .conftest import SEED
from .documents import Document, spec_of
from .parts import partly

CLASSES, BATCH = 3, 4
UNET: Document = {"family": "unet", "width": 4, "depth": 1}
HEADS: Document = {"classifier": {"layers": "1c1f", "weight": 0.5}, "reconstruction": {"channels": 4, "weight": 1.5}}
LOSSES: Document = {"grid": [2, 2], "weights": "separate", "fuse": "losses"}


def document(**parts: Any) -> Document:
    images = {"image_size": 8, "channels": 3, "classes": CLASSES, "samples": 12, "batch_size": BATCH}
    return {
        "specc": 1, "name": "pixels", "task": "segmentation", "data": {"dataset": "synthetic", **images},
        "backbone": UNET, "split": {"after": ["down1.1"]}, "auxiliary": HEADS,
    } | parts  # fmt: skip


def plan_of(**parts: Any) -> Plan:
    return specc.compile(spec_of(document(**parts)))


def folder(at: Path, count: int = 3 * BATCH) -> Document:
    """Squares on noise, and masks that know where they are and count their corners for nothing; `data:` of them."""
    numbers = np.random.default_rng(SEED)
    for half in ("train", "val"):
        for i in range(count):
            image, mask = numbers.integers(0, 128, (8, 12, 3), np.uint8), np.zeros((8, 12), np.uint8)
            row, column, kind = numbers.integers(0, 4, 3)
            image[row : row + 4, column : column + 6, kind % 3] += 127
            mask[row : row + 4, column : column + 6] = 1 + kind % 2
            mask[row, column] = IGNORED
            for name, pixels in (("images", image), ("masks", mask)):
                (at / half / name).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(at / half / name / f"{i}.png")
    return {"dataset": "mask_folder", "root": str(at), "classes": CLASSES, "image_size": [8, 12], "batch_size": BATCH,
            "mean": [0.5] * 3, "std": [0.5] * 3}  # fmt: skip


def batches(plan: Plan) -> list[tuple[Tensor, Tensor]]:
    """Of one epoch."""
    loader = Loader(open_data(plan).train, BATCH, seed=0, train=True)
    return [(images.double(), masks) for images, masks in loader.epoch(0)]


# ---------------------------------------------------------------------------------------------- a plain loop


def two(*widths: int) -> nn.Sequential:
    pairs = pairwise(widths)
    parts = ((nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()) for a, b in pairs)
    return nn.Sequential(*(module for part in parts for module in part))


class Plain(nn.Module):
    """A U-Net of one level in two blocks, and the heads of the first, in the order of a session's parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.bottom = two(3, 4, 4), two(4, 8, 8)
        self.raised, self.up, self.head = nn.ConvTranspose2d(8, 4, 2, 2), two(8, 4, 4), nn.Conv2d(4, CLASSES, 1)
        self.classifier = nn.Sequential(*two(4, 2), nn.Conv2d(2, CLASSES, 1))
        self.decoder = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
                                     nn.Conv2d(4, 3, 3, padding=1), nn.Sigmoid())  # fmt: skip

    def second(self, x: Tensor) -> Tensor:
        up = self.raised(self.bottom(F.max_pool2d(x, 2)))
        return self.head(self.up(torch.cat((x, up), 1)))

    def step(self, images: Tensor, masks: Tensor) -> list[Tensor]:
        """The backwards of both blocks, no gradient from the second in the first; the losses."""
        features = self.down(images)
        local = F.cross_entropy(self.classifier(features), masks, ignore_index=IGNORED)
        restored = F.binary_cross_entropy(self.decoder(features), images * 0.5 + 0.5)
        (0.5 * local + 1.5 * restored).backward()
        last = F.cross_entropy(self.second(features.detach()), masks, ignore_index=IGNORED)
        last.backward()
        return [local.detach(), restored.detach(), last.detach()]


def test_two_blocks_with_local_heads_train_as_a_plain_loop(tmp_path: Path) -> None:
    """On images in a folder, with what is restored and what is judged pixel by pixel."""
    plan = plan_of(
        data=folder(tmp_path), train={"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-3}}
    )
    session, plain = Session(plan, dtype=torch.float64), Plain().double()
    with torch.no_grad():
        theirs, ours = dict(plain.named_parameters()), dict(session.named_parameters())
        order = sorted(theirs, key=lambda name: name.startswith(("classifier", "decoder")))  # as they are defined
        for name, own in zip(order, ours.values(), strict=True):
            theirs[name].copy_(own)
    optimizer = torch.optim.SGD(plain.parameters(), 0.1, 0.9, weight_decay=1e-3, nesterov=True)
    for images, masks in batches(plan):
        optimizer.zero_grad()
        want = plain.step(images, masks)
        optimizer.step()
        losses = session.train_step(images, masks).losses.values()
        got = [loss for unit in losses for loss in unit.values()]
        torch.testing.assert_close(torch.stack(got), torch.stack(want), rtol=1e-10, atol=1e-10)
    for name, own in zip(order, session.named_parameters(), strict=True):
        torch.testing.assert_close(own[1].detach(), theirs[name].detach(), rtol=1e-10, atol=1e-10, msg=own[0])
    plain.eval()
    assert IGNORED in masks
    torch.testing.assert_close(
        session.predict(images), plain.second(plain.down(images)).detach(), rtol=1e-10, atol=1e-10
    )


def test_a_patch_is_compared_with_its_part_of_the_mask(tmp_path: Path) -> None:
    heads = {"classifier": {"layers": "0c1f", "patches": LOSSES}}
    session = Session(plan := plan_of(data=folder(tmp_path), auxiliary=heads), dtype=torch.float64)
    images, masks = batches(plan)[0]
    step = session.train_step(images, masks, update=False)
    features = session.model.networks["block0"](images).detach()
    total = torch.zeros((), dtype=torch.float64)
    for i, (rows, columns) in enumerate((r, c) for r in (slice(4), slice(4, 8)) for c in (slice(6), slice(6, 12))):
        head = f"unit0.independent.classifier.patch{i}.conv0."
        weight, bias = (dict(session.named_parameters())[head + name].detach() for name in ("weight", "bias"))
        logits = F.conv2d(features[:, :, rows, columns], weight, bias)
        total += F.cross_entropy(logits, masks[:, rows, columns], ignore_index=IGNORED)
    torch.testing.assert_close(step.losses["unit0.independent"]["segmentation"], total, rtol=1e-10, atol=1e-10)


# ---------------------------------------------------------------------------------------------- heads


def head_graph(plan: Plan, unit: int = 0) -> Any:
    return plan.networks[plan.units[unit].heads[0].networks[0]].graph


@pytest.mark.parametrize("head", [{"classifier": {}}, {"classifier": {"layers": "2c3f"}}, {"augmented": {}}], ids=str)
def test_a_classifier_answers_for_every_pixel(head: Document) -> None:
    backbone, after = {"torchvision": "lraspp_mobilenet_v3_large"}, ["backbone.3"]
    data = document()["data"] | {"image_size": [33, 41]}
    plan = plan_of(backbone=backbone, split={"after": after}, auxiliary=head, data=data)
    graph = head_graph(plan)
    assert graph.shape == (CLASSES, 33, 41)
    assert graph.nodes[-1].op == Resize((33, 41))
    assert all(node.shape[1:] == (9, 11) for node in graph.nodes[:-1]) or "augmented" in head


def test_the_convolutions_of_a_pixel_have_half_the_width() -> None:
    """As in InfoPro's code for Cityscapes: 1024 channels, then 512, then the classes."""
    convs = [node for node in head_graph(plan_of()).nodes if node.op.name == "conv"]
    assert [node.shape[0] for node in convs] == [2, CLASSES]
    assert [node.op.k for node in convs] == [3, 1]


@pytest.mark.parametrize("head", ["pointwise", "pooled_linear", "periodic"])
def test_a_head_that_answers_for_the_whole_image_says_so(head: str) -> None:
    report = check_text(json.dumps(document(auxiliary={head: {}}), indent=1))
    ((code, text),) = [(d.code, d.message) for d in report.diagnostics]
    assert code == "SPC419"
    assert f"needs {CLASSES}×8×8: one class a pixel" in text


def test_layers_that_leave_no_map_say_so() -> None:
    pooled = {"classifier": {"layers": [{"op": "global_avg_pool"}]}}
    report = check_text(json.dumps(document(auxiliary=pooled), indent=1))
    ((code, text),) = [(d.code, d.message) for d in report.diagnostics]
    assert code == "SPC410"
    assert "every pixel has a class, and its layers give no map (C×H×W) but 4" in text


def test_tokens_are_laid_out_before_pixels_are_judged() -> None:
    """A transformer whose tokens are resized to the image in the end."""
    layers = [
        {"name": "patches", "op": "patch_embed", "out": 6, "k": 2},
        {"name": "mix", "op": "transformer_block", "heads": 2, "mlp": 8},
        {"name": "map", "op": "to_map"}, {"name": "score", "op": "conv", "out": CLASSES, "k": 1},
        {"name": "up", "op": "resize", "size": 8},
    ]  # fmt: skip
    graph = head_graph(plan_of(backbone={"layers": layers}, split={"after": ["mix"]}, auxiliary={"classifier": {}}))
    assert [node.shape for node in graph.nodes][:2] == [(6, 4, 4), (3, 4, 4)]
    assert graph.shape == (CLASSES, 8, 8)


# ---------------------------------------------------------------------------------------------- cuts and memory


def test_what_waits_inside_of_a_u_net_crosses_a_cut_beside_the_features() -> None:
    unet = UNET | {"depth": 2}
    report = check_text(json.dumps(document(backbone=unet, split={"after": ["bottom.1"]}), indent=1))
    assert report.diagnostics == ()
    plan = plan_of(backbone=unet, split={"after": ["bottom.1"]})
    assert plan.networks["block0"].graph.gives == ("down1.1.relu", "down2.1.relu")


NETWORKS: dict[str, tuple[int, Document, str, str]] = {
    "unet": (16, UNET | {"depth": 2}, "down1.1", "fp32"),
    "unet_patches": (16, UNET | {"depth": 2}, "down1.1", "bf16"),
    "unet_bilinear": (17, UNET | {"depth": 2, "up": "bilinear", "batch_norm": False}, "down1.1", "bf16"),
    "deeplab": (65, {"torchvision": "deeplabv3_mobilenet_v3_large"}, "backbone.12", "fp32"),
    "lraspp": (33, {"torchvision": "lraspp_mobilenet_v3_large"}, "backbone.3", "fp32"),
    "fcn": (33, {"torchvision": "fcn_resnet50"}, "backbone.layer3.2", "bf16"),
}


@pytest.mark.parametrize("name", partly(NETWORKS, ("lraspp", "fcn")))
def test_the_prediction_is_the_trace(name: str) -> None:
    size, backbone, after, precision = NETWORKS[name]
    patches = {"classifier": {"patches": LOSSES}, "reconstruction": {"patches": LOSSES}}
    heads = patches if name.endswith("patches") else HEADS
    train = {"precision": precision, "recompute": name == "lraspp"}
    plan = plan_of(data=document()["data"] | {"image_size": size}, backbone=backbone, split={"after": [after]},
                   auxiliary=heads, train=train)  # fmt: skip
    predicted, traced = as_traced(plan), trace(plan)
    assert [moment.bytes for moment in predicted.timeline] == pytest.approx(list(traced.timeline), rel=3e-5)

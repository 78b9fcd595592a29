"""What can be learnt besides one class an image: each task through the whole house, on data that take milliseconds."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import specc
from runtime import Session
from runtime.data import DataConfig, Loader, open_dataset
from runtime.data.draws import Draws, Indices
from runtime.memory.measure import random_batch
from runtime.memory.trace import trace, watch
from runtime.run.metrics import METRICS
from specc.checking import check_text
from specc.learning.losses import LOSSES
from specc.memory.prediction import as_traced
from specc.plan import Plan
from specc.tasks.datasets import INFO, ResolvedData
from specc.tasks.registry import TASKS
from specc.tasks.segmentation import IGNORED
from specc.tasks.task import Values

from .commands import ROOT
from .commands import specc as run_specc
from .documents import Document, document, spec_of

SIDE, CLASSES = 8, 3
DATA: Document = {
    "dataset": "synthetic", "image_size": SIDE, "channels": 1, "classes": CLASSES, "samples": 24, "batch_size": 6,
}  # fmt: skip
PIXELS: Document = {
    "layers": [
        {"name": "stem", "op": "conv", "out": 6, "k": 3, "stride": 2},
        {"name": "act", "op": "relu"},
        {"name": "body", "op": "conv", "out": 8, "k": 3},
        {"name": "out", "op": "relu"},
        {"name": "score", "op": "conv", "out": CLASSES, "k": 1, "bias": True},
        {"name": "up", "op": "resize", "size": [SIDE, SIDE]},
    ]
}
PARTS: dict[str, Document] = {
    "classification": {"data": DATA},
    "multi_label": {"data": DATA, "auxiliary": {"classifier": {"layers": "1c2f", "hidden": 8}, "reconstruction": {}}},
    "segmentation": {
        "data": DATA, "backbone": PIXELS, "split": {"after": ["out"]},
        "auxiliary": {"reconstruction": {"channels": 4}},
    },
    "text_classification": {
        "data": {
            "dataset": "synthetic", "length": 6, "vocabulary": 9, "classes": CLASSES, "samples": 24, "batch_size": 6,
        },
        "backbone": {"layers": [
            {"name": "words", "op": "embedding", "out": 8, "rows": 9}, {"name": "mix", "op": "linear", "out": 8},
            {"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": CLASSES},
        ]},
        "split": {"after": ["mix"]},
    },
}  # fmt: skip


def spec_for(task: str, **parts: Any) -> Document:
    return document(**{"task": task} | PARTS[task] | parts)


def plan_for(task: str, **parts: Any) -> Plan:
    return specc.compile(spec_of(spec_for(task, **parts)))


def found_in(text: Document) -> list[tuple[str, str, str]]:
    """Code, the lines that are pointed at, and the help of every finding."""
    written = json.dumps(text, indent=1)
    lines = written.splitlines()
    return [
        (d.code, " ".join(lines[d.span.line - 1 : d.span.line + 2]) if d.span else "", " ".join(d.help))
        for d in check_text(written).diagnostics
    ]


def test_every_task_is_known_everywhere() -> None:
    """The language reads its name, the engine has its loss and metrics, and some data set is there for it."""
    assert set(TASKS) == set(PARTS)
    for task in TASKS.values():
        assert LOSSES[task.loss].compares == task.kind
        assert task.loss in LOSSES
        assert {*task.metrics, task.running} <= set(METRICS)
        assert any(task.kind in info.targets for info in INFO.values())


class Tokens:
    """A split of three sequences of whole numbers."""

    info, peak = ResolvedData("words", (4,), 100, (), ()), 1

    def __len__(self) -> int:
        return 3

    def batches(self, batches: Iterable[Indices], draws: Draws | None) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in batches:
            found = torch.from_numpy(batch)[:, None] * 20 + torch.arange(5)
            yield found[:, :-1], found[:, 1:]


def test_a_task_of_tokens_is_a_description_like_the_others() -> None:
    """Of the same parts: whole numbers go in, and come to the device as they are."""
    whole = Values(("length",), "int64", below="classes")
    task = replace(TASKS["classification"], name="words", kind="tokens", input=whole, target=whole,
                   output=Values(("length", "classes")), restores=None)  # fmt: skip
    loader = Loader(Tokens(), 2, seed=0, train=False)
    words, following = next(iter(loader.epoch(0)))
    assert words.dtype == following.dtype == torch.int64
    assert words.tolist() == [[0, 1, 2, 3], [20, 21, 22, 23]]
    assert task.output.shape(Tokens.info) == (4, 100)
    assert task.target.bound(Tokens.info) == 100
    assert task.sample_bytes(Tokens.info) * 2 == sum(part.nbytes for part in (words, following))


def test_the_page_says_what_the_tasks_are() -> None:
    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in page.splitlines() if row.startswith("| `")]
    listed = {row[0].strip("`"): row for row in rows if len(row) == 5}
    assert listed.keys() == TASKS.keys()
    for name, (_, _, output, loss, metrics) in listed.items():
        task = TASKS[name]
        assert output == " × ".join(task.output.axes)
        assert loss == f"`{task.loss}`"
        assert metrics == ", ".join(f"`{metric}`" for metric in task.metrics)
    read = {row[0].strip("`") for row in rows if len(row) == 2}
    assert read == {info.name for info in INFO.values() if "map" in info.targets}
    for text in re.findall(r"^```yaml\n(.*?)^```", page, re.M | re.S):
        assert not check_text(text).diagnostics


@pytest.mark.parametrize("task", TASKS)
def test_a_run_of_every_task(task: str, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps(spec_for(task, train={"epochs": 2})))
    result = run_specc("run", spec, "--device", "cpu", "--run-dir", tmp_path / "run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    metrics = TASKS[task].metrics
    assert list(summary["test"]) == [*metrics, "loss"]
    assert all(0 <= summary["test"][name] <= 1 for name in metrics)
    shown = f"test {metrics[0].replace('_', ' ')} {summary['test'][metrics[0]]:.2%}"
    assert shown in result.stdout
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").read_text().splitlines()))
    assert float(rows[-1][f"test_{metrics[0]}"]) == summary["test"][metrics[0]]
    assert f"train {float(rows[-1]['train_' + TASKS[task].running]):.2%}  test" in result.stderr
    memory = summary["memory"]
    assert memory["measured_peak_bytes"] == pytest.approx(memory["predicted_peak_bytes"], rel=0.05)


@pytest.mark.parametrize("task", sorted(TASKS.keys() - {"classification"}))
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_prediction_is_the_trace(task: str, precision: str) -> None:
    """Masks and multi-hot labels are part of the batch, and the losses on them are priced as what they are."""
    data = DATA | {"image_size": 16, "batch_size": 64, "classes": 5, "samples": 64}
    plan = plan_for(task, **spec_parts(task, data), train={"precision": precision})
    predicted, traced = as_traced(plan), trace(plan)
    assert [moment.bytes for moment in predicted.timeline] == pytest.approx(list(traced.timeline), rel=1e-3, abs=512)
    assert traced == watch(Session(plan), *random_batch(plan, torch.device("cpu"))), "and the trace what tensors take"


def spec_parts(task: str, data: Document) -> Document:
    """The data, and a network that ends in what is learnt of them."""
    if task == "text_classification":
        return {"data": PARTS[task]["data"] | {"batch_size": data["batch_size"]}}
    if task != "segmentation":
        return {"data": data}
    *body, score, up = PIXELS["layers"]
    score, up = score | {"out": data["classes"]}, up | {"size": [data["image_size"]] * 2}
    return {"data": data, "backbone": {"layers": [*body, score, up]}}


# --- against the plain loop ---


def drawn_folder(root: Path) -> Path:
    """Boxes on a background: images and masks as PNG files, some pixels of which do not count."""
    generator = np.random.default_rng(0)
    for half, count in (("train", 12), ("val", 4)):
        for kind in ("images", "masks"):
            (root / half / kind).mkdir(parents=True)
        for i in range(count):
            mask = np.zeros((SIDE, SIDE), np.uint8)
            top, left = generator.integers(SIDE - 3, size=2)
            mask[top : top + 4, left : left + 4] = 1 + i % (CLASSES - 1)
            noise = generator.integers(60, size=mask.shape, dtype=np.uint8)
            mask[0, : i % 3] = 200
            Image.fromarray(np.minimum(mask, 3) * np.uint8(60) + noise).save(root / half / "images" / f"{i}.png")
            Image.fromarray(mask).save(root / half / "masks" / f"{i}.png")
    return root


def plain_network(tensors: dict[str, Tensor], images: Tensor) -> Tensor:
    """The network of `PIXELS`, written down."""
    x = F.conv2d(images, tensors["stem.conv.weight"], stride=2, padding=1).relu()
    x = F.conv2d(x, tensors["body.conv.weight"], padding=1).relu()
    x = F.conv2d(x, tensors["score.conv.weight"], tensors["score.conv.bias"])
    return F.interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=True)


def test_segmentation_trains_as_a_plain_loop_does(tmp_path: Path) -> None:
    """Real files, float64, two epochs of SGD with Nesterov's momentum: every parameter to 1e-10."""
    data = {"dataset": "mask_folder", "root": str(drawn_folder(tmp_path)), "image_size": SIDE, "channels": 1,
            "classes": CLASSES, "batch_size": 4, "ignore_index": 200}  # fmt: skip
    plan = plan_for("segmentation", data=data, split={"blocks": 1}, auxiliary={})
    config = DataConfig("mask_folder", str(tmp_path), image_size=SIDE, channels=1, classes=CLASSES, ignore_index=200,
                        task="segmentation")  # fmt: skip
    session = Session(plan, dtype=torch.float64)
    own = {name: p.detach().clone().requires_grad_() for name, p in session.named_parameters()}
    sgd = torch.optim.SGD(own.values(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    loader, seen = Loader(open_dataset(config).train, 4, seed=0, train=True), []
    for images, masks in (batch for epoch in range(2) for batch in loader.epoch(epoch)):
        step = session.train_step(images, masks)
        logits = plain_network(own, images.double())
        loss = F.cross_entropy(logits, masks, ignore_index=IGNORED)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        ((terms),) = step.losses.values()
        assert float(terms["segmentation"] - loss.detach()) == pytest.approx(0, abs=1e-10)
        assert (step.logits - logits.detach()).abs().max() < 1e-10
        seen.append((masks == IGNORED).sum())
    assert len(seen) == 6
    assert sum(seen) > 0, "or nothing was shown of what does not count"
    for name, parameter in session.named_parameters():
        assert (parameter.detach() - own[name].detach()).abs().max() < 1e-10, name


def test_multi_label_losses_are_those_of_a_plain_loop() -> None:
    """The network's own and its local classifier's, each with its gradient in its own block alone."""
    plan = plan_for("multi_label", split={"after": ["stage2.0"]}, auxiliary={"classifier": {"layers": "0c1f"}})
    session = Session(plan, dtype=torch.float64)
    config = DataConfig("synthetic", image_size=SIDE, channels=1, classes=CLASSES, samples=24, task="multi_label")
    images, labels = next(Loader(open_dataset(config).train, 6, seed=0, train=True, target=torch.float32).epoch(0))
    step = session.train_step(images, labels, update=False)
    named = dict(session.named_parameters())
    expected = F.binary_cross_entropy_with_logits(step.logits, labels.double())
    assert float(step.losses["unit1.independent"]["classification"] - expected) == pytest.approx(0, abs=1e-10)
    hot = step.logits.detach().requires_grad_()
    F.binary_cross_entropy_with_logits(hot, labels.double()).backward()
    assert hot.grad is not None
    assert torch.allclose(named["head.fc.bias"].grad, hot.grad.sum(0), rtol=0, atol=1e-10)
    local = step.losses["unit0.independent"]["classification"]
    assert 0 < float(local) != pytest.approx(float(expected)), "another classifier"


# --- what does not go together ---

WRONG: dict[str, tuple[Document, str, str, str]] = {
    "no masks": (spec_for("segmentation", data={"dataset": "digits"}), "SPC606", "segmentation", "mask_folder"),
    "no labels": (spec_for("multi_label", data={"dataset": "cifar10"}), "SPC606", "multi_label", "label_folder"),
    "only masks": (
        document(data={"dataset": "voc", "image_size": 32}, task="classification"), "SPC606", "classification", "voc",
    ),
    "a vector at the end": (
        document(task="segmentation", data=DATA), "SPC304", "backbone", "then `resize` to the image",
    ),
    "a map at the end": (
        document(data=DATA, backbone=PIXELS, split={"blocks": 1}, auxiliary={}), "SPC304", "up", "explain SPC304",
    ),
    "too coarse a map": (
        document(task="segmentation", data=DATA, backbone={"layers": PIXELS["layers"][:-1]}, split={"blocks": 1}),
        "SPC304", "score", "resize",
    ),
    "one class a head": (
        spec_for("multi_label", auxiliary={"classifier": {"loss": "cross_entropy"}}), "SPC419", "loss", "",
    ),
    "labels of a class": (spec_for("classification", auxiliary={"classifier": {"loss": "bce_with_logits"}}),
                          "SPC419", "loss", ""),
    "classes to compare": (spec_for("multi_label", auxiliary={"similarity": {}}), "SPC419", "similarity", ""),
    "classes that fit no byte": (
        spec_for("segmentation", data=DATA | {"classes": 256}), "SPC602", "classes", "",
    ),
    "drawn, and not read": (spec_for("segmentation", data=DATA | {"ignore_index": 3}), "SPC108", "ignore_index", ""),
    "nothing to ignore": (document(data=DATA | {"dataset": "digits", "ignore_index": 3}), "SPC108", "ignore_index", ""),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_a_task_cannot_learn_is_said_with_its_place(wrong: str) -> None:
    text, code, pointed, help = WRONG[wrong]
    found = {code: (line, said) for code, line, said in found_in(text)}
    assert code in found, found
    line, said = found[code]
    assert pointed in line
    assert help in said or help == f"explain {code}"


def test_a_decoder_needs_something_to_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task says what a decoder gives back; where that is nothing, there is no decoder."""
    text = spec_for("classification", auxiliary={"reconstruction": {}})
    assert found_in(text) == []
    monkeypatch.setitem(TASKS.own, "classification", replace(TASKS["classification"], restores=None))
    ((code, line, _),) = found_in(text)
    assert (code, "reconstruction" in line) == ("SPC419", True)


def test_a_mask_that_does_not_fit_ends_the_run(tmp_path: Path) -> None:
    root = drawn_folder(tmp_path / "data")
    Image.fromarray(np.full((SIDE, SIDE), 77, np.uint8)).save(root / "train" / "masks" / "3.png")
    data = {"dataset": "mask_folder", "root": str(root), "image_size": SIDE, "channels": 1, "classes": CLASSES,
            "batch_size": 4, "ignore_index": 200}  # fmt: skip
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps(spec_for("segmentation", data=data)))
    result = run_specc("run", spec, "--device", "cpu", "--run-dir", tmp_path / "run", cwd=tmp_path)
    assert result.returncode == 3
    assert "masks/3.png has a pixel of class 77: classes are 0 to 2, and 200 counts for nothing" in result.stderr

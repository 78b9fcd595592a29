"""How good every unit's own classifier is: what it says in evaluation, against a computation of its own."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from runtime import Session
from runtime.data import Loader
from runtime.data.loader import Part
from runtime.run.evaluation import columns, evaluated
from runtime.run.progress import epoch_line
from specc import compile as compile_spec
from specc.graph import ops
from specc.graph.graph import INPUT
from specc.plan import HeadPlan, Network, Plan, Unit
from specc.tasks.segmentation import IGNORED

from .documents import HPFF, MAN, PATCHES, Document, compiled
from .naive import apply, quarter
from .shipped import FOLDER
from .test_resume import TINY, rows, trainer_of

CLASSIFIER = {"classifier": {"layers": "1c2f", "hidden": 6}}
TWO = ("classifier", "pooled_linear")
FUSED = PATCHES | {"fuse": "outputs"}
KINDS: dict[str, Document] = {
    "a classifier": {"auxiliary": CLASSIFIER},
    "MAN": {"auxiliary": CLASSIFIER, **MAN},
    "MAN + HPFF": HPFF | MAN,
    "an average alone": {"auxiliary": CLASSIFIER, "ema_links": [{"from": "next", "bias": "none"}]},
    "two branches of one scale": {"auxiliary": CLASSIFIER, "ema_links": [{"from": "next", "bias": "scaled"}]},
    "an average with offsets": {"auxiliary": CLASSIFIER, "ema_links": [{"from": "next", "bias": "parameter"}]},
    "several heads": {"auxiliary": CLASSIFIER | {"pooled_linear": {"features": 16}, "similarity": {}}},
    "patches with losses of their own": {"auxiliary": {"classifier": {"layers": "1c1f", "patches": PATCHES}}},
    "patches with one answer": {"auxiliary": {"classifier": {"layers": "1c1f", "patches": FUSED}}},
    "patches one by one": {
        "auxiliary": {"classifier": {"layers": "1c1f", "patches": FUSED | {"execution": "sequential"}}}
    },
    "micro-batches": {"auxiliary": CLASSIFIER, "train": {"micro_batches": 2}},
    "no trace of a classifier": {"auxiliary": {"reconstruction": {"channels": 3}}},
}


class Plainly:
    """Evaluation without a step, an executor or modules: running statistics and torch's functions."""

    def __init__(self, session: Session) -> None:
        self.plan = session.plan
        self.tensors = {name: tensor.detach().clone() for name, tensor in session.model.tensors().items()}

    def run(self, network: Network, x: Tensor) -> Tensor:
        values = {INPUT: x}
        for node in network.graph.nodes:
            own = {
                name: self.tensors[f"{network.prefix}{node.name}.{name}"] for name in (*node.parameters, *node.buffers)
            }
            inputs = [values[name] for name in node.inputs]
            if isinstance(node.op, ops.BatchNorm):
                values[node.name] = F.batch_norm(
                    inputs[0], own["running_mean"], own["running_var"], own["weight"], own["bias"], eps=node.op.eps
                )
            elif isinstance(node.op, ops.AvgPool):
                values[node.name] = F.avg_pool2d(inputs[0], node.op.k, padding=node.op.pad, stride=node.op.k)
            else:
                values[node.name] = apply(node, inputs, own)
        return values[network.graph.output]

    def answers(self, images: Tensor) -> Iterator[tuple[str, str, Tensor]]:
        x, features = images, []
        for block in self.plan.blocks:
            x = self.run(self.plan.networks[block.name], x)
            features.append(x)
        for unit in self.plan.units:
            for head in unit.heads:
                if head.loss == "cross_entropy":
                    yield unit.name, head.name, self.head(head, self.linked(unit, features[unit.end]))

    def linked(self, unit: Unit, x: Tensor) -> Tensor:
        if not unit.links:
            return x
        (link,) = unit.links
        average, *branch = (self.plan.networks[name] for name in (link.ema, link.bias) if name)
        if link.mode == "parameter":
            for copy in link.sources:
                self.tensors[copy] = self.tensors[copy] + self.tensors[copy.replace(link.ema, str(link.bias), 1)]
            branch = []
        outputs = [self.run(network, x) for network in (average, *branch)]
        if link.scale:
            factor = self.tensors[link.scale]
            outputs = [(2 - factor) * outputs[0], factor * outputs[1]]
        return torch.stack(outputs).sum(0)

    def head(self, head: HeadPlan, x: Tensor) -> Tensor:
        networks = [self.plan.networks[name] for name in head.networks]
        if head.patches is None:
            return self.run(networks[0], x) if networks else x
        parts = zip(networks, quarter(x, head.patches.grid), strict=True)
        return torch.stack([self.run(network, part) for network, part in parts]).mean(0)


def trained(plan: Plan) -> tuple[Session, Tensor, Tensor]:
    """After some steps, so that running statistics are of something, with images to tell."""
    session = Session(plan, dtype=torch.float64)
    session.set_lr(0.02)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(60, *plan.data.shape, dtype=torch.float64, generator=generator) * 2 - 1
    labels = torch.randint(plan.data.classes, (60,), generator=generator)
    for part in zip(images.split(12), labels.split(12), strict=True):
        session.train_step(*part)
    return session, images, labels


@pytest.mark.parametrize("kind", KINDS)
def test_a_unit_is_as_good_as_a_plain_computation_says(kind: str) -> None:
    plan = compiled(**KINDS[kind])
    session, images, labels = trained(plan)
    parts = [Part(batch, len(batch[1])) for batch in zip(images.split(25), labels.split(25), strict=True)]
    found = evaluated(session, parts, units=True)
    names, expected, told = columns(plan), {}, {}
    for unit, head, output in Plainly(session).answers(images):
        told[unit, head] = output
        expected[f"{names[unit, head]}.accuracy"] = float((output.argmax(1) == labels).double().mean())
    assert found.units == pytest.approx(expected, abs=1e-6)
    for answer in session.answers(images, labels):
        if answer.unit and answer.head:
            other = told.pop((answer.unit.name, answer.head.name))
            torch.testing.assert_close(answer.output, other, rtol=1e-9, atol=1e-9)
    assert not told
    assert len(set(expected.values())) > 1 or kind == "no trace of a classifier", "or this test shows nothing"


def test_looking_changes_nothing() -> None:
    """No gradient, no statistics: training goes on as if nobody had looked."""
    plan = compiled(**HPFF | MAN)
    session, images, labels = trained(plan)
    other = copy.deepcopy(session.model.tensors())
    answers = list(session.answers(images, labels))
    assert not any(answer.output.requires_grad for answer in answers)
    assert all(torch.equal(tensor, other[name]) for name, tensor in session.model.tensors().items())
    assert not any(parameter.grad is not None for _, parameter in session.named_parameters())


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("a classifier", [f"unit{k}.independent" for k in range(4)]),
        ("MAN + HPFF", [*(f"unit{k}.independent" for k in range(4)), *(f"unit{k}.cascade" for k in range(1, 4))]),
        ("several heads", [*(f"unit{k}.independent.{head}" for head in TWO for k in range(3)), "unit3.independent"]),
        ("no trace of a classifier", ["unit3.independent"]),
    ],
)
def test_a_figure_has_the_name_of_its_unit(kind: str, expected: list[str]) -> None:
    assert sorted(columns(compiled(**KINDS[kind])).values()) == sorted(expected)


@pytest.mark.parametrize(
    ("spec", "heads"),
    [("sff_cifar10", 16), ("ff_cifar10", 1), ("lls_cifar10", 16), ("predsim_cifar10", 16), ("man_hpff_cifar10", 28)],
)
def test_what_says_no_class_has_no_figure(spec: str, heads: int) -> None:
    """Similarity, restored images and pairs of goodness say none; the goodness of every class does."""
    assert len(columns(compile_spec(FOLDER / f"{spec}.yaml"))) == heads


def test_the_class_with_the_greatest_goodness_is_what_a_unit_tells() -> None:
    plan = compiled(auxiliary={"goodness": {"negatives": "classes"}})
    session, images, labels = trained(plan)
    first = next(iter(session.answers(images, labels)))
    activity = session.model.networks["unit0.independent.goodness"](session.model.networks["block0"](images))
    assert first.output.shape == (60, 4)
    torch.testing.assert_close(first.output, activity.square().mean((2, 3)).detach())


def test_every_patch_tells_its_part_of_the_picture() -> None:
    """Pixels are counted once each, whichever patch tells them."""
    layers = [
        {"name": "a", "op": "conv_bn_relu", "out": 4}, {"name": "b", "op": "conv_bn_relu", "out": 4},
        {"name": "score", "op": "conv", "out": 3, "k": 1, "bias": True},
    ]  # fmt: skip
    data = {"dataset": "synthetic", "image_size": [6, 7], "channels": 1, "classes": 3, "samples": 12, "batch_size": 4}
    head = {"classifier": {"layers": "0c1f", "patches": PATCHES}}
    plan = compiled(task="segmentation", data=data, backbone={"layers": layers}, split={"after": ["a"]}, auxiliary=head)
    session = Session(plan, dtype=torch.float64)
    images = torch.randn(5, 1, 6, 7, dtype=torch.float64)
    masks = torch.randint(3, (5, 6, 7))
    masks[:, 0] = IGNORED
    whole = torch.zeros(5, 3, 6, 7, dtype=torch.float64)
    told = [
        answer for answer in session.answers(images, masks) if answer.unit and answer.unit.name == "unit0.independent"
    ]
    places = [
        (slice(0, 3), slice(0, 3)),
        (slice(0, 3), slice(3, 7)),
        (slice(3, 6), slice(0, 3)),
        (slice(3, 6), slice(3, 7)),
    ]
    for (rows_, columns_), answer in zip(places, told, strict=True):
        assert torch.equal(answer.target, masks[:, rows_, columns_])
        whole[:, :, rows_, columns_] = answer.output
    counts = masks != IGNORED
    right = (whole.argmax(1) == masks)[counts]
    share = [float((right & (masks[counts] == k)).sum() / ((whole.argmax(1)[counts] == k) | (masks[counts] == k)).sum())
             for k in range(3)]  # fmt: skip
    found = evaluated(session, [Part((images[:2], masks[:2]), 2), Part((images[2:], masks[2:]), 3)], units=True)
    assert found.units["unit0.independent.mean_iou"] == pytest.approx(sum(share) / 3, abs=1e-6)


# ---------------------------------------------------------------------------------------------- in a run


def test_a_run_tells_the_units_in_every_row_and_at_the_end(tmp_path: Path) -> None:
    trainer = trainer_of(compiled(**TINY, train={"epochs": 2}), tmp_path)
    summary = trainer.train()
    found = [name for name in rows(tmp_path)[0] if name.startswith("test_unit")]
    assert found == ["test_unit0.independent.accuracy", "test_unit1.independent.accuracy"]
    last = {name.removeprefix("test_"): float(rows(tmp_path)[-1][name]) for name in found}
    assert summary["units"] == {"test": last, "validation": {}}
    ((images, labels),) = Loader(trainer.splits.test, 99, seed=0, train=False).epoch(0)
    model = trainer.session.model
    model.train(False)
    told = model.networks["unit0.independent.classifier"](model.networks["block0"](images)).argmax(1)
    assert last["unit0.independent.accuracy"] == pytest.approx(float((told == labels).float().mean()))
    assert last["unit1.independent.accuracy"] == summary["test"]["accuracy"], "the last one is the network"


def test_a_run_in_slices_is_evaluated_in_slices(tmp_path: Path) -> None:
    """A whole batch may take more memory than any step did."""
    data = TINY["data"] | {"samples": 40, "batch_size": 9}
    trainer = trainer_of(compiled(**TINY | {"data": data}, train={"micro_batches": 2}), tmp_path)
    assert [len(labels) for _, labels in trainer.watched.epoch(0)] == [5, 5]
    assert trainer.train()["status"] == "completed"


def test_units_are_looked_at_only_where_somebody_wants_it(tmp_path: Path) -> None:
    plan = compiled(**TINY, train={"evaluate_units": False})
    assert plan.fingerprint == compiled(**TINY).fingerprint, "it decides no number of the training"
    trainer = trainer_of(plan, tmp_path)
    summary = trainer.train()
    assert summary["units"] == {"test": {}, "validation": {}}
    assert not [name for name in rows(tmp_path)[0] if name.startswith("test_unit")]
    assert rows(tmp_path)[0]["test_accuracy"] == f"{summary['test']['accuracy']}"


def test_the_line_of_an_epoch_ends_with_the_units() -> None:
    row: dict[str, Any] = {"epoch": 1, "lr": 0.1, "val_accuracy": 0.5, "val_loss": 1.0, "seconds": 3.0}
    row |= {"val_unit0.a.accuracy": 0.314, "val_unit1.a.accuracy": 0.5, "train_accuracy": 0.25, "train_unit0.a.x": 7.0}
    assert epoch_line(row, 1) == "epoch 1/1  lr 0.1  train 25.00%  val 50.00%  loss 1.0000  3.0 s  units 31 50"

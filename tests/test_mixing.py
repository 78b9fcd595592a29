"""mixup and cutmix: what a batch becomes, what its losses are told, and what that takes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.data import Loader
from runtime.data.draws import Draws
from runtime.data.mixing import Mixed
from runtime.data.opening import open_data
from runtime.engine.losses import cross_entropy, goodness
from runtime.memory.trace import trace
from runtime.run.metrics import METRICS
from specc.checking import check_text
from specc.memory.prediction import as_traced
from specc.plan import Plan

from .documents import HPFF, MAN, Document, compiled, document
from .test_resume import trainer_of

DATA: Document = {
    "dataset": "synthetic", "image_size": 16, "channels": 3, "classes": 4, "samples": 48, "batch_size": 12,
}  # fmt: skip


def plan_of(*augment: Any, data: Document | None = None, **parts: Any) -> Plan:
    return compiled(data=DATA | {"augment": list(augment)} | (data or {}), **parts)


def batch_of(*augment: Any, **data: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Twelve images and their classes as they are, and mixed with shares."""
    split = open_data(plan_of(*augment, data=data)).train
    assert isinstance(split, Mixed)
    order = np.arange(12)
    ((images, labels),) = split.batches([order], None)
    ((found, shares),) = split.batches([order], Draws(0, 0))
    return images, labels, found, shares


def own_shares(labels: Tensor, shares: Tensor) -> Tensor:
    """Of the images whose neighbour is of another class: classes take turns."""
    assert bool((labels != labels.roll(1, 0)).all())
    return shares.gather(1, labels[:, None])[:, 0]


def test_mixup_adds_two_images_and_their_classes_in_the_same_shares() -> None:
    images, labels, found, shares = batch_of({"mixup": 1.0})
    own = own_shares(labels, shares)
    other = shares.gather(1, labels.roll(1, 0)[:, None])[:, 0]
    torch.testing.assert_close(own + other, torch.ones(12))
    weights = own.view(-1, 1, 1, 1).double()
    expected = weights * images.double() + (1 - weights) * images.roll(1, 0).double()
    assert found.dtype == torch.uint8
    assert float((found.double() - expected).abs().max()) <= 0.5 + 1e-3
    assert len(set(own.tolist())) == 12, "each has a share of its own"


def test_cutmix_puts_in_a_rectangle_and_its_part_of_the_area() -> None:
    images, labels, found, shares = batch_of({"cutmix": 1.0})
    own, others = own_shares(labels, shares), images.roll(1, 0)
    for i in range(12):
        taken = (found[i] != images[i]).any(0)
        assert torch.equal(found[i][:, taken], others[i][:, taken])
        rows, columns = taken.any(1).nonzero(), taken.any(0).nonzero()
        if len(rows):
            area = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
            assert float(own[i]) == pytest.approx(1 - int(area) / 256, abs=0.02)  # a pixel may be the same in both
        else:
            assert float(own[i]) == 1.0
    assert 0 < float(own.min()) < 0.9


def test_of_several_mixings_every_image_gets_one() -> None:
    images, _, found, _ = batch_of({"mixup": 1.0}, {"cutmix": 1.0})
    new = [((found[i] != images[i]) & (found[i] != images[i - 1])).any() for i in range(12)]
    assert 0 < sum(map(bool, new)) < 12, "blended; or of one of both, pixel by pixel"


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_have_the_distribution_that_is_asked_for(alpha: float) -> None:
    data = {"samples": 2000, "batch_size": 2000, "image_size": 2, "channels": 1}
    split = open_data(plan_of({"mixup": alpha}, data=data, backbone=SMALL, split={"blocks": 1})).train
    ((_, labels),) = split.batches([np.arange(2000)], None)
    ((_, shares),) = split.batches([np.arange(2000)], Draws(0, 0))
    own = own_shares(labels, shares).double()
    assert float(own.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(own.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


SMALL: Document = {"layers": [{"name": "mean", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 4}]}


def test_labels_of_several_classes_are_mixed_too() -> None:
    parts: Document = {"task": "multi_label", "auxiliary": {}, "split": {"blocks": 1}}
    plan = plan_of({"mixup": 1.0}, **parts)
    _, labels = next(Loader(open_data(plan).train, 12, seed=0, train=True).epoch(0))
    assert labels.dtype == torch.float32
    assert bool(((labels > 0) & (labels < 1)).any())


# -- losses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss",
    [cross_entropy, partial(cross_entropy, label_smoothing=0.2), goodness],
    ids=["plain", "smoothed", "goodness"],
)
def test_a_loss_of_shares_is_the_mean_of_the_losses_of_the_classes(loss: Any) -> None:
    torch.manual_seed(0)
    outputs, (one, other) = torch.randn(6, 4, dtype=torch.float64), torch.randint(4, (2, 6))
    plain = [outputs.clone().requires_grad_() for _ in range(2)]
    expected = 0.3 * loss(plain[0], one) + 0.7 * loss(plain[0], other)
    mixture = 0.3 * F.one_hot(one, 4).double() + 0.7 * F.one_hot(other, 4).double()
    found = loss(plain[1], mixture)
    expected.backward()
    found.backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(plain[1].grad, plain[0].grad)


def test_a_mixture_is_told_right_by_the_class_that_it_has_most_of() -> None:
    outputs, shares = torch.eye(3), torch.tensor([[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.0, 0.1, 0.9]])
    assert float(METRICS["accuracy"].of(outputs, shares)) == pytest.approx(2 / 3)


REFUSED: dict[str, tuple[Document, str]] = {
    "contrastive": ({"auxiliary": {"classifier": {"loss": "contrastive"}}}, "`contrastive`"),
    "written labels": ({"auxiliary": {"goodness": {"negatives": "images"}}}, "`goodness_pairs`"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_loss_that_takes_one_class_is_named(kind: str) -> None:
    parts, name = REFUSED[kind]
    report = check_text(json.dumps(document(data=DATA | {"augment": ["horizontal_flip", {"cutmix": 1.0}]}, **parts)))
    (found,) = report.diagnostics
    assert (found.code, name in found.message) == ("SPC661", True)
    assert "cross_entropy" in found.help[0]


def test_what_is_done_to_single_images_comes_first() -> None:
    report = check_text(json.dumps(document(data=DATA | {"augment": [{"mixup": 0.2}, "horizontal_flip"]})))
    assert [found.code for found in report.diagnostics] == ["SPC662"]


# -- steps --------------------------------------------------------------------------------------------------------

METHODS: dict[str, Document] = {
    "MAN and HPFF": {**MAN, **HPFF},
    "similarity": {"auxiliary": {"similarity": {}, "classifier": {}}},
    "goodness": {"auxiliary": {"goodness": {"negatives": "classes"}}},
    "slices": {"train": {"micro_batches": 3}},
    "smoothing": {"train": {"label_smoothing": 0.1}},
}


@pytest.mark.parametrize("method", METHODS)
def test_memory_counts_the_shares(method: str) -> None:
    many = {"classes": 300, "image_size": 8, "samples": 600, "batch_size": 48}
    plan = plan_of("mixup", data=many, **METHODS[method])
    found = trace(plan).peak_bytes
    assert abs(as_traced(plan).peak_bytes - found) <= 0.01 * found
    hard = compiled(data={**DATA, **many}, **METHODS[method])
    grown = as_traced(plan).peak_bytes - as_traced(hard).peak_bytes
    assert grown > 0, "a share of every class, in place of the number of one"


@pytest.mark.parametrize("method", METHODS)
def test_a_run_learns_of_mixtures(method: str, tmp_path: Path) -> None:
    trainer = trainer_of(plan_of({"random_crop": 2}, {"mixup": 0.4}, {"cutmix": 1.0}, **METHODS[method]), tmp_path)
    summary = trainer.train()
    assert summary["status"] == "completed"
    predicted, measured = trainer.plan.memory.peak_bytes, trainer.meter.peak_bytes
    assert abs(predicted - measured) <= 0.02 * measured

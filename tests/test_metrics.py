"""What is said of a network's outputs, and the losses on labels and masks, each against a computation of its own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.engine.losses import loss_function
from runtime.run.metrics import Evaluation
from runtime.run.progress import epoch_line
from specc.tasks.registry import TASKS
from specc.tasks.segmentation import IGNORED

CLASSES = 3


def test_the_line_of_an_epoch_shows_the_metrics_that_come_first() -> None:
    """And no loss of a unit, which may come before: a checkpoint does not keep the order."""
    row = {"epoch": 2, "lr": 0.1, "test_iou": 0.25, "test_accuracy": 0.5, "test_loss": 1.0, "seconds": 3.0}
    found = epoch_line(row | {"train_unit0.a.b": 7.0, "train_zeal": 0.75}, 10)
    assert found == "epoch  2/10  lr 0.1  train 75.00%  test 25.00%  loss 1.0000  3.0 s"


def test_pixels_that_do_not_count_count_for_nothing() -> None:
    logits = torch.randn(2, CLASSES, 4, 4, dtype=torch.float64, requires_grad=True)
    masks = torch.randint(CLASSES, (2, 4, 4))
    masks[0, :2] = IGNORED
    loss = loss_function("pixel_cross_entropy")(logits, masks)
    kept = masks != IGNORED
    expected = F.cross_entropy(logits.permute(0, 2, 3, 1)[kept], masks[kept])
    assert float(loss.detach() - expected.detach()) == pytest.approx(0, abs=1e-12)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[0, :, :2] == 0).all()
    assert (logits.grad[0, :, 2:] != 0).all()


def test_a_batch_of_nothing_that_counts_has_no_loss_and_no_gradient() -> None:
    """Torch's own mean is not a number then, which would end the run."""
    logits = torch.randn(1, CLASSES, 2, 2, requires_grad=True)
    loss = loss_function("pixel_cross_entropy")(logits, torch.full((1, 2, 2), IGNORED))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def evaluated(task: str, outputs: Tensor, targets: Tensor, batch: int) -> dict[str, float]:
    found = Evaluation(TASKS[task])
    for part in zip(outputs.split(batch), targets.split(batch), strict=True):
        found.add(*part)
    return found.figures()


@pytest.mark.parametrize("batch", [7, 100])
def test_mean_average_precision_is_that_of_scikit_learn(batch: int) -> None:
    """With scores that many samples share, however they come in batches; a class that never occurs is left out."""
    from sklearn.metrics import average_precision_score

    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(100, 6, generator=generator)
    scores[:, :3] = scores[:, :3].round()
    labels = (torch.rand(100, 6, generator=generator) < 0.3).float()
    labels[:, 5] = 0
    found = evaluated("multi_label", scores, labels, batch)
    expected = average_precision_score(labels[:, :5], scores[:, :5], average="macro")
    assert found["mean_average_precision"] == pytest.approx(float(expected), abs=1e-12)
    assert found["label_accuracy"] == pytest.approx(float(((scores > 0) == (labels > 0)).double().mean()), abs=1e-6)
    assert found["loss"] == pytest.approx(float(F.binary_cross_entropy_with_logits(scores, labels)), rel=1e-5)


@pytest.mark.parametrize("batch", [2, 9])
def test_mean_iou_is_that_of_whole_sets_of_pixels(batch: int) -> None:
    """Of the whole test set, not a mean over batches: here pixel by pixel, with sets."""
    generator = torch.Generator().manual_seed(0)
    logits, masks = torch.randn(9, 5, 4, 3, generator=generator), torch.randint(4, (9, 4, 3), generator=generator)
    logits[:, 4] = -9.0  # class 4 is neither there nor told
    masks[:, 0, 0] = IGNORED
    told = logits.argmax(1)
    where = [tuple(place) for place in (masks != IGNORED).nonzero().tolist()]
    shares = []
    for label in range(4):
        truth, said = ({place for place in where if int(each[place]) == label} for each in (masks, told))
        shares.append(len(truth & said) / len(truth | said))
    found = evaluated("segmentation", logits, masks, batch)
    assert found["mean_iou"] == pytest.approx(sum(shares) / 4, abs=1e-6)
    right = sum(int(masks[place]) == int(told[place]) for place in where)
    assert found["pixel_accuracy"] == pytest.approx(right / len(where), abs=1e-6)

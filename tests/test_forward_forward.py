"""Forward-Forward: labels written into images, the goodness losses, and what a step costs with three views an image."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import runtime
import specc
from runtime.engine.label_views import label_views, without_label, wrong_labels
from runtime.engine.losses import goodness, goodness_pairs
from runtime.memory.trace import trace
from specc.memory.prediction import as_traced
from specc.plan import Plan
from specc.spec.load import loads

CLASSES = 10
MEAN, STD = torch.tensor([0.25, 0.5]).view(1, -1, 1, 1), torch.tensor([0.5, 2.0]).view(1, -1, 1, 1)
SPEC = """
specc: 1
name: forward_forward
data: {dataset: digits, batch_size: 12}
backbone: {family: resnet_cifar, depth: 8, widths: [4, 4, 8, 8]}
split: {blocks: 3}
auxiliary: {goodness: {negatives: NEGATIVES}}
"""


def compiled(negatives: str, *overrides: str) -> Plan:
    return specc.compile(loads(SPEC.replace("NEGATIVES", negatives), overrides=overrides))


def pixels(images: torch.Tensor) -> torch.Tensor:
    """Back to [0, 1], pixels in a row."""
    return (images * STD + MEAN).flatten(2)


@given(st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=40))
def test_a_wrong_label_is_another_class(labels: list[int]) -> None:
    right = torch.tensor(labels)
    wrong = wrong_labels(right, CLASSES)
    assert bool((wrong != right).all())
    assert int(wrong.min()) >= 0
    assert int(wrong.max()) < CLASSES


def test_every_wrong_class_comes_equally_often() -> None:
    wrong = wrong_labels(torch.full((9 * 7,), 3), CLASSES)
    assert torch.bincount(wrong, minlength=CLASSES).tolist() == [7, 7, 7, 0, 7, 7, 7, 7, 7, 7]


def test_views_hold_their_labels_and_nothing_else_changes() -> None:
    images, labels = torch.randn(5, 2, 4, 4), torch.tensor([0, 9, 3, 3, 1])
    before = images.clone()
    views = label_views(images, labels, CLASSES, MEAN, STD)
    assert torch.equal(images, before)
    neutral, right, wrong = pixels(views).split(5)
    torch.testing.assert_close(neutral[:, :, :CLASSES], torch.full((5, 2, CLASSES), 0.1))
    for view, marks in ((right, labels), (wrong, wrong_labels(labels, CLASSES))):
        one_hot = torch.nn.functional.one_hot(marks, CLASSES).float()
        torch.testing.assert_close(view[:, :, :CLASSES], one_hot[:, None, :].expand(-1, 2, -1), atol=1e-6, rtol=0)
    for view in (neutral, right, wrong):
        torch.testing.assert_close(view[:, :, CLASSES:], pixels(images)[:, :, CLASSES:])
    torch.testing.assert_close(without_label(images, CLASSES, MEAN, STD), views[:5])


def test_goodness_is_the_mean_square_of_the_class_channel() -> None:
    activity = torch.randn(6, CLASSES, 3, 5, dtype=torch.float64)
    labels = torch.arange(6)
    squares = (activity**2).mean((2, 3))
    others = squares.masked_fill(torch.nn.functional.one_hot(labels, CLASSES).bool(), -torch.inf).logsumexp(1)
    own = squares[torch.arange(6), labels]
    expected = torch.nn.functional.softplus(others - own).mean()  # a soft margin to the strongest wrong class
    torch.testing.assert_close(goodness(activity, labels), expected)
    tokens = activity.flatten(2).transpose(1, 2)
    torch.testing.assert_close(goodness(tokens, labels), expected)


def test_pairs_compare_an_image_with_itself() -> None:
    right, wrong = torch.full((4, 8), 2.0), torch.full((4, 8), 1.0)
    expected = torch.nn.functional.softplus(torch.tensor(1.0 - 4.0))
    torch.testing.assert_close(goodness_pairs(torch.cat([right, wrong]), torch.zeros(4)), expected)


def test_prediction_cannot_see_the_first_pixels() -> None:
    session = runtime.Session(compiled("images"), dtype=torch.float64)
    images = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    other = images.clone()
    other.flatten(2)[:, :, :CLASSES] = 7.0
    assert torch.equal(session.predict(images), session.predict(other))
    other.flatten(2)[:, :, CLASSES] = 7.0
    assert not torch.equal(session.predict(images), session.predict(other))


def test_the_last_unit_learns_from_images_without_a_label() -> None:
    session = runtime.Session(compiled("images"), dtype=torch.float64)
    images, labels = torch.randn(12, 1, 8, 8), torch.randint(CLASSES, (12,))
    step = session.train_step(images, labels, update=False)
    assert step.logits.shape == (12, CLASSES)
    last = session.plan.units[-1].name
    expected = torch.nn.functional.cross_entropy(step.logits, labels)
    torch.testing.assert_close(step.losses[last]["classification"], expected)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("negatives", ["classes", "images"])
@pytest.mark.parametrize("more", [(), ("auxiliary.classifier.layers=1c1f", "auxiliary.reconstruction.weight=1")])
def test_memory_counts_the_views(negatives: str, precision: str, more: tuple[str, ...]) -> None:
    plan = compiled(negatives, f"train.precision={precision}", "data.batch_size=64", *more)
    found = trace(plan).peak_bytes
    assert abs(as_traced(plan).peak_bytes - found) <= 0.01 * found

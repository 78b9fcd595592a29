"""`label_smoothing`: of the last unit and of heads, as torch smooths labels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from runtime import Session
from runtime.memory.trace import trace, watch
from runtime.run.metrics import Evaluation
from specc.checking import check_text
from specc.memory.prediction import as_traced
from specc.plan import Plan
from specc.tasks.registry import TASKS

from .documents import HPFF, Document, compiled
from .test_runtime import batches


def smoothing(plan: Plan) -> dict[str, float]:
    return {f"{unit.name}.{head.name}": head.smoothing for unit in plan.units for head in unit.heads}


def test_it_is_of_every_cross_entropy_and_a_head_may_have_its_own() -> None:
    plan = compiled(**HPFF, train={"label_smoothing": 0.1})
    assert {name.rpartition(".")[2]: s for name, s in smoothing(plan).items()} == {
        "classifier": 0.1, "decoder": 0.0, "final": 0.1
    }  # fmt: skip
    heads: Document = {"classifier": {"label_smoothing": 0.0}, "goodness": {"label_smoothing": None}}
    own = smoothing(compiled(auxiliary=heads, train={"label_smoothing": 0.2}))
    assert {name.rpartition(".")[2]: s for name, s in own.items()} == {"classifier": 0.0, "goodness": 0.0, "final": 0.2}


def test_losses_and_gradients_are_those_of_torch() -> None:
    plan = compiled(split={"blocks": 1}, train={"label_smoothing": 0.1})
    session = Session(plan, dtype=torch.float64)
    images, labels = next(batches(plan))
    step = session.train_step(images, labels, update=False)
    (unit,) = plan.units
    found = {name: p.grad for name, p in session.named_parameters()}
    again = Session(plan, dtype=torch.float64)
    again.model.train(True)
    logits = again.executor.predict(images)
    loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
    loss.backward()
    torch.testing.assert_close(step.losses[unit.name]["classification"], loss.detach(), rtol=0, atol=0)
    for name, p in again.named_parameters():
        torch.testing.assert_close(found[name], p.grad, rtol=0, atol=0, msg=name)


def test_metrics_of_a_data_set_know_nothing_of_it() -> None:
    plan = compiled(train={"label_smoothing": 0.3})
    logits, labels = torch.randn(6, 4), torch.randint(4, (6,))
    found = Evaluation(TASKS[plan.config.task])
    found.add(logits, labels)
    assert found.figures()["loss"] == pytest.approx(F.cross_entropy(logits, labels).item())


@pytest.mark.parametrize("channels", [4, 64])
def test_it_takes_what_was_predicted(channels: int) -> None:
    layers: list[Document] = [{"name": "conv", "op": "conv", "out": 4, "k": 3}]
    layers += [{"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": channels}]
    data: Document = {"dataset": "synthetic", "image_size": 4, "channels": 1, "classes": channels, "samples": 60}
    data["batch_size"] = 30
    plan = compiled(data=data, backbone={"layers": layers}, split={"after": ["conv"]}, train={"label_smoothing": 0.1})
    predicted = tuple(moment.bytes for moment in as_traced(plan).timeline)
    images, labels = next(batches(plan, dtype=torch.float32))
    assert predicted == trace(plan).timeline
    assert predicted == watch(Session(plan), images, labels).timeline


def test_where_there_is_nothing_to_smooth_a_word_is_said() -> None:
    start = "specc: 1\nname: x\nbackbone: {family: resnet_cifar}\nsplit: {blocks: 2}\n"
    data = "data: {dataset: synthetic, image_size: 32, channels: 3, classes: 5, samples: 64}\n"
    train = "train: {label_smoothing: 0.1}\n"
    assert not check_text(start + data + train).diagnostics
    (found,) = check_text(start + data + "task: multi_label\n" + train).diagnostics
    assert (found.code, found.span and found.span.line) == ("SPC108", 7)
    (found,) = check_text(start + data + "auxiliary:\n  reconstruction: {label_smoothing: 0.1}\n").diagnostics
    assert (found.code, found.span and found.span.line) == ("SPC419", 7)

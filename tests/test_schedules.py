"""The learning rate of every step, against torch's schedulers over whole runs; resumed, it goes on as it would have."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import Optimizer, lr_scheduler

from runtime import Session
from runtime.errors import RunError
from runtime.run.learning_rate import Rates, learning_rate
from runtime.run.progress import Silence
from specc.checking import check_text
from specc.spec.sections.schedule import Schedule
from specc.spec.sections.train import Train

from .conftest import SEED
from .documents import Document, compiled
from .test_resume import STEPS, TINY, rows, stopped, trainer_of
from .test_runtime import assert_same, batches, tensors

Makes = Callable[[Optimizer], Any]


def chained(make: Makes, lr: float, count: int, **options: Any) -> list[dict[str, Any]]:
    """What torch's scheduler says, step after step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9, **options)
    scheduler, found = make(optimizer), []
    for _ in range(count - 1):
        found.append(dict(optimizer.param_groups[0]))
        optimizer.step()
        scheduler.step()
    return [*found, dict(optimizer.param_groups[0])]


CURVES: dict[str, tuple[Document, Callable[[int], Makes]]] = {
    "cosine": ({"name": "cosine"}, lambda n: lambda o: lr_scheduler.CosineAnnealingLR(o, n)),
    "poly": ({"name": "poly", "power": 0.9}, lambda n: lambda o: lr_scheduler.PolynomialLR(o, n, 0.9)),
    "step": (
        {"name": "step", "milestones": [3, 7, 12], "gamma": 0.3},
        lambda n: lambda o: lr_scheduler.MultiStepLR(o, [3, 7, 12], 0.3),
    ),
}


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_is_torchs_of_its_name_over_a_whole_run(name: str) -> None:
    """To the last digits but one; theirs depend on all steps before, so that a resumed run would need them all."""
    draw, document, make = random.Random(SEED), *CURVES[name]
    schedule, same = Schedule.model_validate(document), 0
    for _ in range(5):
        lr, count = draw.uniform(0.01, 1), draw.randrange(13, 300)
        ours = [learning_rate(schedule, lr, e, count) for e in range(count)]
        theirs = [group["lr"] for group in chained(make(count), lr, count)]
        assert ours == pytest.approx(theirs, rel=1e-12)
        same += ours == theirs
    assert same < 5, "torch's floats are ours now: then ours can go"


CYCLES: dict[str, Document] = {
    "as it is": {},
    "three phases": {"three_phase": True, "pct_start": 0.4},
    "straight": {"anneal_strategy": "linear", "div_factor": 10.0, "final_div_factor": 100.0},
    "other momentum": {"base_momentum": 0.5, "max_momentum": 0.6},
    "without momentum": {"cycle_momentum": False},
    "rises to the end": {"pct_start": 1.0},
    "only falls": {"pct_start": 0.0},
}


@pytest.mark.parametrize("cycle", CYCLES.values(), ids=CYCLES)
def test_one_cycle_is_torchs(cycle: Document) -> None:
    """The same floats in every step, whichever was asked for before."""
    schedule = {"name": "one_cycle", "by": "steps", **cycle}
    train = Train.model_validate({"epochs": 3, "optimizer": {"name": "sgd", "lr": 0.7}, "schedule": schedule})
    rates = Rates(train, 11)
    theirs = chained(lambda o: lr_scheduler.OneCycleLR(o, 0.7, total_steps=33, **cycle), 0.7, 33)
    keys = ["lr", "momentum"] if cycle.get("cycle_momentum", True) else ["lr"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in (*range(33), *range(0, 33, 5), 32, 0):
            assert rates.at(*divmod(number, 11)) == {key: theirs[number][key] for key in keys}, number


def test_one_cycle_in_epochs_and_with_betas() -> None:
    train = Train.model_validate({"epochs": 10, "optimizer": {"name": "adamw"}, "schedule": {"name": "one_cycle"}})
    rates = Rates(train, 4)
    found = [rates.at(epoch, step) for epoch in range(10) for step in range(4)]
    assert found[:4] == [found[0]] * 4
    assert found[0] == {"lr": pytest.approx(1e-3 / 25), "betas": (0.95, 0.999)}
    assert found[2 * 4] == {"lr": 1e-3, "betas": (0.85, 0.999)}


def test_steps_are_counted_through_all_epochs() -> None:
    train = Train.model_validate({"epochs": 2, "optimizer": {"name": "sgd", "lr": 1.0, "momentum": 0.5},
                                  "schedule": {"name": "poly", "power": 1.0, "by": "steps"}})  # fmt: skip
    rates = Rates(train, 5)
    found = [rates.at(epoch, step)["lr"] for epoch in range(2) for step in range(5)]
    assert found == pytest.approx([1 - i / 10 for i in range(10)])
    assert rates.last(0) == found[4]


@pytest.mark.parametrize("warm", [{"warmup_steps": 4}, {"warmup_epochs": 2}], ids=["steps", "epochs"])
def test_a_warm_up_moves_with_every_step(warm: Document) -> None:
    schedule = {"name": "constant", "by": "steps", "warmup_lr": 0.2, **warm}
    rates = Rates(Train.model_validate({"epochs": 4, "schedule": schedule}), 2)
    found = [rates.at(epoch, step)["lr"] for epoch in range(4) for step in range(2)]
    assert found == pytest.approx([0.2, 0.175, 0.15, 0.125, 0.1, 0.1, 0.1, 0.1])


def test_a_schedule_of_epochs_says_the_same_in_all_steps_of_one() -> None:
    rates = Rates(Train.model_validate({"epochs": 4, "schedule": {"name": "cosine"}}), 3)
    assert [rates.at(2, step)["lr"] for step in range(3)] == [learning_rate(rates.schedule, 0.1, 2, 4)] * 3


ONE_CYCLE: Document = {"name": "one_cycle", "by": "steps", "pct_start": 0.5}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_scheduled_run_is_a_plain_loop_with_torchs_scheduler(optimizer: str) -> None:
    """Weights after eight steps, bit for bit; every group gets what is scheduled."""
    train: Document = {"epochs": 2, "optimizer": {"name": optimizer, "weight_decay_exclude": ["norms"]},
                       "schedule": ONE_CYCLE}  # fmt: skip
    plan = compiled(split={"after": ["stage2.0"]}, train=train)
    ours, plain = Session(plan), Session(plan)
    rates = Rates(plan.config.train, 4)
    lr = plan.config.train.optimizer.lr
    theirs = [lr_scheduler.OneCycleLR(o, lr, total_steps=8, pct_start=0.5) for o in plain.optimizers.values()]
    for number, (images, labels) in enumerate(batches(plan, dtype=torch.float32, count=8)):
        ours.tell(rates.at(*divmod(number, 4)))
        for session in (ours, plain):
            session.train_step(images, labels)
        for each in theirs:
            each.step()
    assert_same(tensors(ours), tensors(plain))


@pytest.mark.parametrize(
    "schedule", [ONE_CYCLE, {"name": "cosine", "by": "steps", "warmup_steps": 4}], ids=["one cycle", "cosine"]
)
def test_a_run_stopped_in_an_epoch_goes_on_with_the_rate_of_its_step(tmp_path: Path, schedule: Document) -> None:
    plan = compiled(**TINY, train={"epochs": 2, "schedule": schedule})
    whole = trainer_of(plan, tmp_path / "whole")
    whole.train()
    assert len(whole.train_data) == STEPS
    for epoch, step in ((0, 1), (1, 0), (1, 2)):
        folder = tmp_path / f"{epoch}.{step}"
        stopped(trainer_of(plan, folder), epoch, step)
        again = trainer_of(plan, folder)
        again.resume()
        again.train()
        assert_same(tensors(again.session), tensors(whole.session))
        assert rows(folder) == rows(tmp_path / "whole")
    assert [float(row["lr"]) for row in rows(tmp_path / "whole")] == [whole.rates.last(0), whole.rates.last(1)]


def test_what_is_never_reached_is_said_once_the_data_set_tells_how_many_steps_there_are(tmp_path: Path) -> None:
    schedule = {"name": "step", "by": "steps", "milestones": [2, 6], "warmup_steps": 6}
    trainer = trainer_of(compiled(**TINY, train={"epochs": 2, "schedule": schedule}), tmp_path / "run", Silence())
    assert [note for note in trainer.notes if "reached" in note] == [
        "the milestone 6 is never reached: the training has 6 steps",
        "the end of the warm-up, 6, is never reached: the training has 6 steps",
    ]


def test_a_cycle_that_rises_in_a_single_step_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    schedule = {"name": "one_cycle", "by": "steps", "pct_start": 0.5}
    plan = compiled(
        **{**TINY, "data": {**TINY["data"], "samples": 12, "batch_size": 6}}, train={"epochs": 1, "schedule": schedule}
    )
    with pytest.raises(RunError, match="rises in one of 2 steps"):
        trainer_of(plan, tmp_path / "run")


@pytest.mark.parametrize(
    ("train", "code"),
    [
        ("{schedule: {name: constant, by: steps, warmup_epochs: 1, warmup_steps: 5}}", "SPC613"),
        ("{schedule: {name: one_cycle, warmup_epochs: 1}}", "SPC613"),
        ("{schedule: {name: one_cycle}, epochs: 9, optimizer: {name: sgd, momentum: 0.0, nesterov: false}}", "SPC613"),
        ("{schedule: {name: one_cycle}, epochs: 9, optimizer: {name: rmsprop}}", "SPC613"),
        ("{schedule: {name: one_cycle, pct_start: 0.5}, epochs: 2}", "SPC613"),
        ("{schedule: {name: cosine, warmup_steps: 5}}", "SPC108"),
        ("{schedule: {name: cosine, div_factor: 5.0}}", "SPC108"),
    ],
)
def test_what_does_not_go_together_is_told_at_its_place(train: str, code: str) -> None:
    text = f"specc: 1\nname: x\nbackbone: {{family: resnet_cifar}}\ntrain: {train}\n"
    assert [(d.code, d.span and d.span.line) for d in check_text(text).diagnostics] == [(code, 4)]


@pytest.mark.parametrize("optimizer", ["{name: sgd, momentum: 0.0, nesterov: false}", "{name: rmsprop}"])
def test_a_cycle_leaves_alone_the_momentum_that_there_is_not(optimizer: str) -> None:
    train = f"{{epochs: 9, optimizer: {optimizer}, schedule: {{name: one_cycle, cycle_momentum: false}}}}"
    assert not check_text(f"specc: 1\nname: x\nbackbone: {{family: resnet_cifar}}\ntrain: {train}\n").diagnostics

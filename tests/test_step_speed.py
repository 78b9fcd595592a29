"""What a step does not do a second time; evaluations are no slower than the training in its precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from runtime import Session
from runtime.engine.predictor import Predictor
from runtime.memory.measure import random_batch

from .documents import HPFF, compiled


def test_parts_are_told_of_training_once_and_not_in_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = compiled()
    session, told = Session(plan), []
    images, labels = random_batch(plan, torch.device("cpu"))
    session.train_step(images, labels)
    train = nn.Module.train
    monkeypatch.setattr(nn.Module, "train", lambda self, mode=True: (told.append(mode), train(self, mode))[1])
    session.train_step(images, labels)
    assert told == []
    session.predict(images)
    assert set(told) == {False}
    session.train_step(images, labels)
    assert True in told


def test_who_shares_the_modules_may_put_them_into_another_mode() -> None:
    plan = compiled()
    session = Session(plan)
    images, labels = random_batch(plan, torch.device("cpu"))
    session.train_step(images, labels)
    Predictor(session.model)  # is in evaluation mode
    assert not any(part.training for part in session.model.networks["block0"].modules())
    session.train_step(images, labels)
    assert all(part.training for part in session.model.networks["block0"].modules())


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_evaluations_run_in_the_precision_of_the_training(precision: str, dtype: torch.dtype) -> None:
    session = Session(compiled(**HPFF, train={"precision": precision}))
    images, labels = random_batch(session.plan, torch.device("cpu"))
    answers = list(session.answers(images, labels))
    assert len(answers) > 2
    assert {answer.output.dtype for answer in answers} == {dtype}
    assert session.predict(images).dtype == dtype

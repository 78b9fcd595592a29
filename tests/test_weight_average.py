"""`train.weight_average`: torch's average of the weights, kept through stops, evaluated in place of the weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from runtime import Session
from runtime.errors import RunError
from runtime.memory.trace import trace, watch
from runtime.run import checkpoint
from runtime.run.evaluation import evaluated
from runtime.run.rundir import RunDir
from runtime.run.saving import load_model, optimizer_tensors
from runtime.run.trained import open_trained
from specc.memory.prediction import as_traced, resident
from specc.plan import Plan

from .checkpoints import forge, newest
from .documents import HPFF, MAN, Document, compiled
from .test_resume import STEPS, TINY, resumed, rows, stopped, trainer_of
from .test_runtime import assert_same, batches, tensors

AVERAGE: Document = {"weight_average": {"decay": 0.7}}


def plan_of(**train: object) -> Plan:
    return compiled(**TINY, **MAN, train={"epochs": 2, **AVERAGE, **train})


@pytest.mark.parametrize("every", [1, 3])
def test_it_is_torchs_average_of_all_that_is_trained(every: int) -> None:
    """Bit for bit, running statistics too; copies of links, which are averages already, are left out."""
    plan = compiled(**MAN | HPFF, train={"weight_average": {"decay": 0.9, "every": every}})
    session = Session(plan)
    assert session.average is not None
    modules = {name: session.model.networks[name] for name, n in plan.networks.items() if n.group is not None}
    whole = nn.ModuleList(modules.values())
    theirs = AveragedModel(whole, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for number, (images, labels) in enumerate(batches(plan, dtype=torch.float32, count=7)):
        session.train_step(images, labels)
        if number % every == 0:
            theirs.update_parameters(whole)
    average = dict(session.average.tensors)
    for own, module in zip(modules.values(), theirs.module, strict=True):
        for name, tensor in [*module.canonical_parameters(), *module.canonical_buffers()]:
            assert name in dict([*own.canonical_parameters(), *own.canonical_buffers()])
            if tensor.is_floating_point():
                torch.testing.assert_close(average.pop(name), tensor.detach(), rtol=0, atol=0, msg=name)
    assert not average


def test_a_run_evaluates_the_average_and_goes_on_with_the_weights(tmp_path: Path) -> None:
    plan = plan_of()
    trainer, raw = trainer_of(plan, tmp_path / "run"), trainer_of(plan_of(weight_average=None), tmp_path / "raw")
    summary, without = trainer.train(), raw.train()
    assert_same(tensors(trainer.session), tensors(raw.session))
    assert summary["test"] != without["test"]
    average = Session(plan)
    assert trainer.session.average is not None
    load_model(average, {**trainer.session.model.tensors(), **trainer.session.average.tensors}, tmp_path)
    assert trainer.test_data is not None
    found = evaluated(average, trainer.test_data.parts(0), units=True)
    assert {key: summary["test"][key] for key in found.whole} == found.whole


def test_a_run_stopped_anywhere_goes_on_with_its_average(tmp_path: Path) -> None:
    """After the last step of an epoch that is in its evaluation, where the weights are the average's."""
    plan = plan_of(weight_average={"decay": 0.7, "every": 2})
    whole = trainer_of(plan, tmp_path / "whole")
    whole.train()
    for epoch, step in ((0, 0), (0, STEPS - 1), (1, 1)):
        folder = tmp_path / f"{epoch}.{step}"
        stopped(trainer_of(plan, folder), epoch, step)
        again = resumed(plan, folder)
        again.train()
        assert_same(tensors(again.session), tensors(whole.session))
        assert_same(optimizer_tensors(again.session), optimizer_tensors(whole.session))
        assert again.session.average
        assert whole.session.average
        assert_same(again.session.average.tensors, whole.session.average.tensors)
        assert rows(folder) == rows(tmp_path / "whole")


def test_whoever_reads_a_checkpoint_predicts_with_the_average(tmp_path: Path) -> None:
    plan = plan_of()
    RunDir.create(plan, "text", "resolved", tmp_path)
    trainer = trainer_of(plan, tmp_path)
    trainer.train()
    assert trainer.session.average
    found = open_trained(tmp_path, "last", "cpu", None).session.model.tensors()
    assert_same(found, {**trainer.session.model.tensors(), **trainer.session.average.tensors})


@pytest.mark.parametrize("parts", [{}, MAN | HPFF], ids=["plain", "MAN and HPFF"])
def test_it_takes_what_was_predicted(parts: Document) -> None:
    """To the byte, in every instruction of a traced step and of a real one."""
    plan, without = compiled(**parts, train=AVERAGE), compiled(**parts)
    more = [sum(sum(resident(p.config, n).values()) for n in p.networks.values()) for p in (plan, without)]
    images, labels = next(batches(plan, dtype=torch.float32))
    session = Session(plan)
    timeline = watch(session, images, labels).timeline
    assert session.average
    assert more[0] - more[1] == sum(t.untyped_storage().nbytes() for t in session.average.tensors.values())
    assert tuple(moment.bytes for moment in as_traced(plan).timeline) == trace(plan).timeline == timeline


def test_an_average_of_other_tensors_is_refused(tmp_path: Path) -> None:
    plan = plan_of()
    stopped(trainer_of(plan, tmp_path), 0, 0)
    held = checkpoint.read_tensors(newest(tmp_path), checkpoint.WEIGHT_AVERAGE)
    name = next(iter(held))
    for wrong in ({k: v for k, v in held.items() if k != name}, {**held, name: held[name][:1].clone()}):
        forge(newest(tmp_path), checkpoint.WEIGHT_AVERAGE, save(wrong))
        with pytest.raises(RunError, match="does not go with its plan"):
            resumed(plan, tmp_path)

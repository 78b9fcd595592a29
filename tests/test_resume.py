"""A run that is stopped wherever it can be, and resumed, is the run that nobody stopped: weights and rows."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.errors import Interrupted, RunError
from runtime.run.progress import Silence
from runtime.run.rundir import RunDir
from runtime.run.saving import optimizer_tensors
from runtime.run.trainer import Trainer
from specc.plan import Plan
from specc.spec.sections.optimizers import OPTIMIZERS

from .checkpoints import flip, forge, newest
from .documents import MAN, Document, compiled
from .test_runtime import assert_same, tensors

DATA: Document = {"dataset": "synthetic", "image_size": 8, "channels": 1, "classes": 4, "samples": 20, "batch_size": 6}
LAYERS = [
    {"name": "a", "op": "conv_bn_relu", "out": 4}, {"name": "drop", "op": "dropout", "p": 0.5},
    {"name": "b", "op": "conv_bn_relu", "out": 4}, {"name": "pool", "op": "global_avg_pool"},
    {"name": "head", "op": "linear", "out": 4},
]  # fmt: skip
TINY: Document = {"data": DATA, "backbone": {"layers": LAYERS}, "split": {"after": ["drop"]}}
KINDS: dict[str, Document] = {
    "SGD": {"precision": "fp32"},
    "AdamW": {"optimizer": {"name": "adamw"}, "schedule": {"name": "cosine"}},
    "fp16": {"precision": "fp16"},
    "pixel by pixel": {"memory_format": "channels_last"},
}
STEPS, BATCHES = 3, 1  # of an epoch, of an evaluation


class Watcher(Silence):
    """Tells how many steps of the epoch are done."""

    def __init__(self, seen: Callable[[int], None]) -> None:
        self.seen = seen

    def epoch_begins(self, epoch: int, steps: int) -> None: ...

    def step_done(self, step: int, loss: float | None) -> None:
        self.seen(step)


def plan_of(kind: str, **parts: Any) -> Plan:
    return compiled(**TINY, **MAN, **parts, train={"epochs": 2, **KINDS[kind]})


def trainer_of(plan: Plan, folder: Path, progress: Silence | None = None) -> Trainer:
    folder.mkdir(exist_ok=True)
    return Trainer(plan, torch.device("cpu"), RunDir(folder), progress or Silence(), "text")


def rows(folder: Path) -> list[OrderedDict[str, str]]:
    """The metrics, without the time that they took; in another order they are others."""
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return [OrderedDict((k, v) for k, v in row.items() if k != "seconds") for row in csv.DictReader(file)]


def stopped(trainer: Trainer, epoch: int, step: int) -> Trainer:
    """Stop it after a step; after an epoch's last one, that is in its evaluation."""

    def stop(done: int) -> None:
        if (trainer.epoch, done) == (epoch, step + 1):
            trainer.interruption.wanted = signal.SIGINT

    trainer.progress = Watcher(stop)
    with pytest.raises(Interrupted, match="checkpoint saved"):
        trainer.train()
    return trainer


def resumed(plan: Plan, folder: Path) -> Trainer:
    trainer = trainer_of(plan, folder)
    trainer.resume()
    return trainer


def optimizers(trainer: Trainer) -> dict[str, Tensor]:
    return optimizer_tensors(trainer.session)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_may_be_stopped_after_every_step(kind: str, tmp_path: Path) -> None:
    plan = plan_of(kind)
    whole = trainer_of(plan, tmp_path / "whole")
    assert len(whole.train_data) == STEPS
    summary = whole.train()
    for epoch in range(2):
        for step in range(STEPS):
            folder = tmp_path / f"{epoch}.{step}"
            before = stopped(trainer_of(plan, folder), epoch, step)
            torch.manual_seed(12345)  # another process has drawn something else
            after = resumed(plan, folder)
            assert (after.epoch, after.step) == (epoch, step + 1)
            assert after.session.scaler.state_dict() == before.session.scaler.state_dict()
            assert after.train()["test"] == summary["test"]
            assert_same(tensors(after.session), tensors(whole.session))
            assert_same(optimizers(after), optimizers(whole))
            assert rows(folder) == rows(tmp_path / "whole")


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS.own) - {"sgd", "adamw"}))
def test_every_optimizer_goes_on_where_it_was(name: str, tmp_path: Path) -> None:
    plan = compiled(**TINY, **MAN, train={"epochs": 2, "optimizer": {"name": name}})
    whole = trainer_of(plan, tmp_path / "whole")
    whole.train()
    stopped(trainer_of(plan, tmp_path / "parts"), 1, 0)
    after = resumed(plan, tmp_path / "parts")
    after.train()
    assert_same(tensors(after.session), tensors(whole.session))
    assert_same(optimizers(after), optimizers(whole))


def test_a_run_may_be_stopped_many_times(tmp_path: Path) -> None:
    plan = plan_of("AdamW")
    whole = trainer_of(plan, tmp_path / "whole")
    whole.train()
    folder = tmp_path / "parts"
    trainer = trainer_of(plan, folder)
    for epoch in range(2):
        for step in range(STEPS):
            trainer = stopped(trainer, epoch, step)
            trainer = resumed(plan, folder)
    trainer.train()
    assert_same(tensors(trainer.session), tensors(whole.session))
    assert rows(folder) == rows(tmp_path / "whole")


def test_the_scaler_of_fp16_goes_on_where_it_was(tmp_path: Path) -> None:
    """Its first steps may overflow; a scale that begins anew would skip steps again."""
    plan = plan_of("fp16")
    trainer = trainer_of(plan, tmp_path)
    trainer.session.scaler._init_scale = 256.0
    stopped(trainer, 0, 1)
    state = resumed(plan, tmp_path).session.scaler.state_dict()
    assert (state["scale"], state["_growth_tracker"]) == (256.0, 2)


def test_the_counters_of_adamw_go_on_where_they_were(tmp_path: Path) -> None:
    plan = plan_of("AdamW")
    stopped(trainer_of(plan, tmp_path), 0, 1)
    after = resumed(plan, tmp_path)
    counters = {float(t) for name, t in optimizers(after).items() if name.endswith("/step")}
    assert counters == {2.0}
    stepped = {f"{name}/step" for name, p in after.session.named_parameters() if p.requires_grad}
    assert stepped <= optimizers(after).keys()


def test_every_step_draws_its_own_dropout(tmp_path: Path) -> None:
    seeds: list[int] = []
    trainer = trainer_of(plan_of("SGD"), tmp_path)
    trainer.session.executor.observer = lambda i: seeds.append(torch.initial_seed()) if i.kind == "forward" else None
    trainer.train()
    drawn = list(dict.fromkeys(seeds))
    assert len(drawn) == 2 * STEPS
    assert seeds == [seed for seed in drawn for _ in range(len(seeds) // len(drawn))], "one a step"


def test_a_resumed_epoch_took_the_time_of_both_parts(tmp_path: Path) -> None:
    plan = plan_of("SGD")
    trainer = stopped(trainer_of(plan, tmp_path), 0, 1)
    before = trainer.seconds
    trainer = resumed(plan, tmp_path)
    assert trainer.seconds == before > 0
    trainer.seconds += 1000
    trainer.train()
    with (tmp_path / "metrics.csv").open(newline="", encoding="utf-8") as file:
        times = [float(row["seconds"]) for row in csv.DictReader(file)]
    assert times[0] > 1000 > times[1]


# ---------------------------------------------------------------------------------------------- at the end


def test_a_run_stopped_in_its_last_evaluation_tells_what_it_measured(tmp_path: Path) -> None:
    plan = plan_of("SGD")
    stopped(trainer_of(plan, tmp_path), 1, STEPS - 1)
    before = json.loads((tmp_path / "summary.json").read_text())
    after = resumed(plan, tmp_path).train()
    assert (after["status"], after["epochs"], after["steps"]) == ("completed", 2, 2 * STEPS)
    assert after["memory"] == before["memory"]
    assert after["memory"]["measured_peak_bytes"] > 0
    assert after["step_seconds_median"] == before["step_seconds_median"] > 0


def test_what_another_device_measured_is_not_carried_over(tmp_path: Path) -> None:
    plan = plan_of("SGD")
    stopped(trainer_of(plan, tmp_path), 1, STEPS - 1)
    last = newest(tmp_path)
    forge(last, "state.json", (last / "state.json").read_text().replace('"device": "cpu"', '"device": "cuda:7"'))
    assert resumed(plan, tmp_path).train()["memory"]["measured_peak_bytes"] == 0


def test_a_run_without_a_checkpoint_begins_anew(tmp_path: Path) -> None:
    plan = plan_of("SGD")
    trainer_of(plan, tmp_path / "whole").train()
    trainer = resumed(plan, tmp_path / "killed")
    assert trainer.notes == ["no checkpoint was saved yet: the run begins anew"]
    trainer.train()
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


def test_a_run_that_lost_its_checkpoints_keeps_its_table(tmp_path: Path) -> None:
    plan = plan_of("SGD")
    trainer_of(plan, tmp_path).train()
    before = (tmp_path / "metrics.csv").read_bytes()
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(RunError, match=r"has lost its checkpoints: metrics.csv is all it has"):
        resumed(plan, tmp_path)
    assert (tmp_path / "metrics.csv").read_bytes() == before


# ---------------------------------------------------------------------------------------------- metrics.csv


@pytest.mark.parametrize("torn", [None, 1, 7], ids=["a whole row", "half a number", "half a row"])
def test_a_row_that_has_no_checkpoint_is_written_once(torn: int | None, tmp_path: Path) -> None:
    """A crash between an epoch's row and its checkpoint, or while the row is written."""
    plan = plan_of("SGD")
    trainer_of(plan, tmp_path / "whole").train()
    trainer = stopped(trainer_of(plan, tmp_path / "parts"), 1, 0)
    table = tmp_path / "parts" / "metrics.csv"
    row = table.read_bytes().splitlines(keepends=True)[1].replace(b"1", b"2", 1)
    table.write_bytes(table.read_bytes() + row[:torn])
    trainer = resumed(plan, tmp_path / "parts")
    trainer.train()
    assert [row["epoch"] for row in rows(tmp_path / "parts")] == ["1", "2"]
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")


@pytest.mark.parametrize("spoil", [Path.unlink, flip, lambda path: path.write_text("epoch\n")])
def test_rows_that_were_changed_since_are_those_of_the_checkpoint_again(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    plan = plan_of("SGD")
    stopped(trainer_of(plan, tmp_path), 1, 0)
    table = tmp_path / "metrics.csv"
    before = table.read_bytes()
    spoil(table)
    name = newest(tmp_path).name
    says = f"metrics.csv was changed since: it is again what {name} recorded of it"
    assert resumed(plan, tmp_path).warnings == [says]
    assert table.read_bytes() == before


def test_another_data_set_is_not_gone_on_with(tmp_path: Path) -> None:
    plan = plan_of("SGD")
    stopped(trainer_of(plan, tmp_path), 0, STEPS - 1)
    trainer = trainer_of(plan, tmp_path)
    trainer.train_data.batch_size = 20
    with pytest.raises(RunError, match="of epoch 1, step 3; now there are 2 epochs of 1 steps"):
        trainer.resume()

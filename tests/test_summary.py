"""summary.json says by itself all that a comparison asks of a run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from runtime.run.checkpoint import STATE
from runtime.run.environment import cores
from runtime.run.trainer import Trainer
from specc.plan.flops import step_flops
from specc.runs.metrics import history, rows

from .checkpoints import forge, newest
from .test_resume import plan_of, resumed, stopped, trainer_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, dict[str, Any]]:
    trainer = trainer_of(plan_of("SGD"), tmp_path_factory.mktemp("summary") / "run")
    return trainer, trainer.train()


def test_a_summary_says_what_was_trained_how_and_on_what(trained: tuple[Trainer, dict[str, Any]]) -> None:
    trainer, said = trained
    plan = trainer.plan
    assert (said["task"], said["seed"], said["batch_size"]) == ("classification", 0, 6)
    assert (said["epochs"], said["epochs_planned"]) == (2, 2)
    assert said["flops_per_image"] == step_flops(plan)
    held = sum(p.numel() for name, p in trainer.session.named_parameters() if name.startswith(("a.", "b.", "head.")))
    assert said["parameters"]["backbone"] == held
    assert said["parameters"]["auxiliary"] == sum(
        each.graph.parameter_count for each in plan.networks.values() if each.prefix
    ) > 0  # fmt: skip
    hardware = said["hardware"]
    assert hardware["torch"] == torch.__version__
    assert (hardware["cores"], hardware["threads"], hardware["gpu"]) == (cores(), torch.get_num_threads(), None)
    assert hardware["processor"]
    assert trainer.run_dir.environment() == {}, "the trainer alone writes no env.json: the summary has it first hand"


def test_the_history_is_every_epoch_of_metrics_csv(trained: tuple[Trainer, dict[str, Any]]) -> None:
    trainer, said = trained
    with trainer.run_dir.metrics.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [epoch["epoch"] for epoch in said["history"]] == [1, 2]
    last = said["history"][-1]
    assert last["test"] == said["test"]
    assert last["units"] == {"test": said["units"]["test"], "validation": {}}
    assert len(last["units"]["test"]) == 2, "one a unit that tells by itself"
    assert last["train"]["accuracy"] == float(written[-1]["train_accuracy"])
    assert (last["lr"], last["seconds"]) == (float(written[-1]["lr"]), float(written[-1]["seconds"]))


def test_the_time_is_that_of_all_processes(tmp_path: Path) -> None:
    plan, folder = plan_of("SGD"), tmp_path / "run"
    first = trainer_of(plan, folder)
    first.wall.before = 1000.0  # as if it had taken so long before
    stopped(first, 1, 0)
    second = resumed(plan, folder)
    assert second.wall.before is not None
    assert second.wall.before > 1000
    said = second.train()
    assert 1000 < second.wall.before < said["wall_seconds"] < 2000
    assert resumed(plan, folder).train()["wall_seconds"] == said["wall_seconds"], "what is over takes no more time"
    assert [epoch["epoch"] for epoch in said["history"]] == [1, 2], "with that of the process before"


def test_the_time_of_a_run_that_an_older_specc_began_is_not_known(tmp_path: Path) -> None:
    plan, folder = plan_of("SGD"), tmp_path / "run"
    stopped(trainer_of(plan, folder), 1, 0)
    state = json.loads((newest(folder) / STATE).read_text())
    del state["position"]["wall_seconds"]
    forge(newest(folder), STATE, json.dumps(state).encode())
    assert resumed(plan, folder).train()["wall_seconds"] is None


def test_a_history_knows_what_was_kept_for_validation() -> None:
    (epoch,) = history(rows("epoch,lr,seconds,val_accuracy,val_unit0.accuracy\n1,0.5,1,0.25,0.5\n"))
    assert (epoch["validation"], epoch["test"]) == ({"accuracy": 0.25}, {})
    assert epoch["units"]["validation"] == {"unit0.accuracy": 0.5}


def test_a_history_has_no_number_that_json_has_not() -> None:
    table = "epoch,lr,seconds,test_accuracy,test_loss,test_unit0.accuracy,train_unit0.loss\n1,0.5,1,0.25,nan,,inf\n"
    (epoch,) = json.loads(json.dumps(history(rows(table)), allow_nan=False))
    assert epoch["test"] == {"accuracy": 0.25, "loss": None}
    assert epoch["units"] == {"test": {"unit0.accuracy": None}, "validation": {}}
    assert epoch["train"] == {"unit0.loss": None}


@pytest.mark.parametrize(
    "text",
    ["lr,epoch\n1,2\n", "epoch,lr\n1\n", "epoch,lr\n1,2,3\n", "epoch,lr\none,2\n", 'epoch,lr\n1,"2\n'],
    ids=["columns", "short", "long", "word", "quote"],
)
def test_a_table_that_nobody_wrote_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        rows(text)


def test_a_run_that_ends_with_a_damaged_table_has_a_summary_all_the_same(tmp_path: Path) -> None:
    trainer = trainer_of(plan_of("SGD"), tmp_path / "run")
    ends = trainer.progress.epoch_ends
    trainer.progress.epoch_ends = lambda row: (ends(row), trainer.run_dir.metrics.write_text("\0"))
    said = trainer.train()
    assert (said["status"], said["history"]) == ("completed", [])

"""A budget that is exceeded: before a run, in its third step, and on a device that ends it."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from runtime.engine.executor import Executor
from runtime.errors import BudgetExceeded, RunError
from runtime.run import endings
from runtime.run import summary as summaries
from runtime.run.progress import Silence
from runtime.run.rundir import RunDir
from runtime.run.trainer import Trainer
from specc.checking import check_text
from specc.diagnostics import Diagnostic
from specc.plan import Instruction
from specc.spec.sections.split import Budget

from .commands import specc
from .test_cli import QUICKSTART, TINY
from .test_runtime import digits

SMALL = (*TINY, "train.epochs=1", "train.schedule={name: constant}")
LISTS = """specc: 1
name: lists
data: {dataset: cifar10, batch_size: 64}
backbone: {family: resnet_cifar, depth: 32}
split: {blocks: 3}
auxiliary:
  classifier: {weight: [0.5, 0.4]}
budget: {memory: %s}
"""


@pytest.fixture
def greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that take 3 MiB more than predicted."""
    run = Executor.run

    def wasteful(self: Executor, *args: Any, **options: Any) -> torch.Tensor:
        waste = torch.zeros(3 * 2**18)  # alive through the step
        logits = run(self, *args, **options)
        del waste
        return logits

    monkeypatch.setattr(Executor, "run", wasteful)


def over(text: str) -> Diagnostic:
    (found,) = check_text(text).diagnostics
    assert found.code == "SPC501"
    return found


@pytest.mark.usefixtures("greedy")
def test_a_step_over_the_budget_ends_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ("run", QUICKSTART, "--device", "cpu", "--run-dir", folder, *SMALL, "budget.memory=7MiB")
    result = specc(*words, cwd=tmp_path)
    assert result.returncode == 4, result.stderr
    said = result.stderr
    assert re.search(r"one step takes 8(\.\d+)? MiB", said)
    assert "over the budget of 7 MiB by " in said
    assert re.search(r"\(predicted \d.*; the peak is at `head unit\d.cascade.decoder`, predicted ", said)
    assert "predicted to fit: `" in said
    assert "stopped in step 3, the last checkpoint stands, of the beginning" in said
    assert f"{folder / 'spec.resolved.yaml'} budget.on_exceed=warn" in said
    memory = json.loads((folder / "summary.json").read_text())["memory"]
    assert memory["within_budget"] is False
    assert memory["measured_peak_bytes"] > 7 * 2**20

    advised = next(line.split("for example: ")[1] for line in said.splitlines() if "for example: " in line)
    again = specc(*shlex.split(advised)[1:], "--device", "cpu", "--run-dir", tmp_path / "again", cwd=tmp_path)
    assert again.returncode == 0, "what is advised must fit, greedy as it is: " + again.stderr


@pytest.mark.usefixtures("greedy")
def test_a_warning_does_not_end_the_run(tmp_path: Path) -> None:
    words = ("run", QUICKSTART, "--device", "cpu", "--run-dir", tmp_path / "run", *SMALL, "budget.memory=7MiB")
    result = specc(*words, "budget.on_exceed=warn", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "OVER BUDGET" in result.stdout


def capped(folder: Path, budget: int, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """On a CPU that claims to be a GPU once the training runs."""
    plan = digits()
    limit = Budget.model_validate({"memory": budget})
    plan = replace(plan, config=plan.config.model_copy(update={"budget": limit}))
    folder.mkdir(exist_ok=True)
    trainer = Trainer(plan, torch.device("cpu"), RunDir(folder), Silence(), "text")
    monkeypatch.setattr(endings, "obtainable", lambda device: 2**40)
    return trainer


def run_out(trainer: Trainer, kind: str) -> None:
    """Let the device have no more memory for an instruction of some kind."""

    step = trainer.session.executor.step
    ordinary = step.run

    def run(instruction: Instruction) -> None:
        if instruction.kind == kind:
            trainer.device = torch.device("cuda:0")
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has. Pages of advice")
        ordinary(instruction)

    step.run = run


def test_a_full_device_under_the_budget_names_the_instruction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = capped(tmp_path / "run", 2**30, monkeypatch)
    monkeypatch.setattr(summaries, "on_device", lambda run: {})
    run_out(trainer, "backward")
    with pytest.raises(BudgetExceeded) as caught:
        trainer.train()
    first = next(i for i in trainer.plan.instructions if i.kind == "backward")
    assert caught.value.exit_code == 4
    assert f"the peak is at `{first}`, predicted " in str(caught.value)
    assert "Tried to allocate 20.00 MiB" in str(caught.value)
    assert "Pages of advice" not in str(caught.value)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["status"], summary["memory"]["within_budget"]) == ("failed", False)


def test_a_device_that_others_fill_is_no_fault_of_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = capped(tmp_path / "run", 2**30, monkeypatch)
    monkeypatch.setattr(summaries, "on_device", lambda run: {})
    monkeypatch.setattr(endings, "obtainable", lambda device: 2**20)
    run_out(trainer, "head")
    with pytest.raises(RunError, match="out of memory") as caught:
        trainer.train()
    assert caught.value.exit_code == 3


# ---------------------------------------------------------------------------------------------- before a run


def test_validating_predicts_and_points_at_the_budget() -> None:
    found = over(LISTS % "30 MiB")
    assert found.span is not None
    assert found.span.line == 8
    assert found.help[0].startswith("the peak is at `")


def test_lists_of_weights_are_named_where_more_blocks_would_help() -> None:
    advice = over(LISTS % "50 MiB").help[1:]
    assert "split:" not in advice[0], "the lists fit three blocks"
    assert "`auxiliary.classifier.weight` lists one weight a unit" in advice[1]
    assert "`split: {blocks: " in advice[1]


def test_where_no_single_change_fits_all_are_tried_together() -> None:
    advice = over(LISTS % "3 MiB").help[1]
    assert "`train.offload: [optimizer, parameters]` together peak at" in advice
    assert advice.endswith("which is still too much: the budget must be larger")


def test_where_the_backbone_alone_is_too_large_nothing_is_tried() -> None:
    (advice,) = over(LISTS % "2 KiB").help[1:]
    assert advice.startswith("what stays on the device of the backbone alone, whatever is done, is ")
    assert advice.endswith(" KiB: the budget must be larger, or the network smaller")


def test_the_batch_that_is_advised_fits() -> None:
    found = over(LISTS % "30 MiB")
    match = re.search(r"`data.batch_size: (\d+)` peaks at", found.help[1])
    assert match
    text = LISTS.replace("batch_size: 64", f"batch_size: {match[1]}") % "30 MiB"
    assert check_text(text).diagnostics == ()

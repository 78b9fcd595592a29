"""Checkpoints: when they are saved, which of them stay, and what becomes of damaged ones."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from runtime.errors import RunError
from runtime.run import checkpoint
from runtime.run.evaluation import Findings
from runtime.run.trainer import Trainer
from specc.checking import check_text
from specc.diagnostics import Diagnostic
from specc.plan import Plan
from specc.runs.manifest import NAME as MANIFEST
from specc.spec.load import parse_spec

from .checkpoints import flip, forge, names, newest
from .documents import MAN, compiled, document
from .test_resume import STEPS, TINY, optimizers, resumed, rows, stopped, trainer_of
from .test_runtime import assert_same, tensors


def plan_saved(epochs: int = 2, **how: Any) -> Plan:
    return compiled(**TINY, **MAN, train={"epochs": epochs, "checkpoint": how})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A run that nobody disturbs."""
    trainer = trainer_of(plan_saved(), tmp_path_factory.mktemp("whole"))
    trainer.train()
    return trainer


@pytest.fixture(scope="module")
def halted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that was stopped in the middle of its second epoch, and saved after every step."""
    folder = tmp_path_factory.mktemp("halted")
    stopped(trainer_of(plan_saved(every="1 step"), folder), 1, 1)
    return folder


@pytest.fixture
def run(halted: Path, tmp_path: Path) -> Path:
    """A copy of it, to spoil."""
    return shutil.copytree(halted, tmp_path / "run")


def assert_resumes_as(whole: Trainer, folder: Path) -> list[str]:
    """Resumed, it ends as the run that nobody disturbed; gives its warnings."""
    trainer = resumed(plan_saved(every="1 step"), folder)
    trainer.train()
    assert_same(tensors(trainer.session), tensors(whole.session))
    assert_same(optimizers(trainer), optimizers(whole))
    assert rows(folder) == rows(whole.run_dir.path)
    return trainer.warnings


# ---------------------------------------------------------------------------------------------- when, and which stay


@pytest.mark.parametrize(
    ("how", "saved"),
    [
        ({}, [0, 3, 6, 9]),
        ({"every": "2 epochs"}, [0, 6, 9]),
        ({"every": "1 step"}, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"every": "2 steps"}, [0, 2, 4, 6, 8, 9]),
        ({"every": "3 steps"}, [0, 3, 6, 9]),
        ({"every": "100 steps"}, [0, 9]),
        ({"every": "7 minutes"}, [0, 9]),
    ],
)
def test_a_run_is_saved_as_often_as_it_says_and_at_both_ends(how: Any, saved: list[int], tmp_path: Path) -> None:
    trainer_of(plan_saved(3, keep_last=99, **how), tmp_path).train()
    assert names(tmp_path) == [f"{steps:09d}" for steps in saved]


def test_minutes_are_those_since_it_was_saved(tmp_path: Path) -> None:
    trainer = trainer_of(plan_saved(3, every="1 minute", keep_last=99), tmp_path)
    step_done, trainer.cadence.saved_at = trainer.progress.step_done, 0.0

    def later(step: int, loss: float | None) -> None:
        step_done(step, loss)
        trainer.cadence.saved_at -= 21

    trainer.progress.step_done = later
    trainer.train()
    assert names(tmp_path) == [f"{steps:09d}" for steps in (0, 3, 6, 9)]


@pytest.mark.parametrize("keep", [1, 2])
def test_the_last_ones_stay(keep: int, tmp_path: Path) -> None:
    trainer_of(plan_saved(4, keep_last=keep), tmp_path).train()
    assert names(tmp_path) == ["000000009", "000000012"][-keep:]


def test_how_a_run_is_saved_changes_no_number(tmp_path: Path) -> None:
    plans = [plan_saved(), plan_saved(every="1 step", keep_last=1)]
    assert plans[0].fingerprint == plans[1].fingerprint
    trainers = [trainer_of(plan, tmp_path / str(i)) for i, plan in enumerate(plans)]
    for trainer in trainers:
        trainer.train()
    assert_same(tensors(trainers[0].session), tensors(trainers[1].session))
    assert rows(tmp_path / "0") == rows(tmp_path / "1")


def evaluated(folder: Path, *figures: float, metric: str = "accuracy", **how: Any) -> None:
    """A run whose evaluations say so."""
    said = iter(figures)
    plan = plan_saved(len(figures), keep_best={"metric": metric} if metric else {}, **how)
    trainer = trainer_of(plan, folder)
    zero = {"accuracy": 0.0, "loss": 0.0}
    trainer.evaluate = lambda data: Findings(zero | {metric or "accuracy": next(said)})
    trainer.train()


@pytest.mark.parametrize("metric", ["accuracy", "loss", ""])
def test_the_best_one_stays_however_old_it_is(metric: str, tmp_path: Path) -> None:
    sign = -1 if metric == "loss" else 1
    evaluated(tmp_path, *(sign * figure for figure in (0.1, 0.7, 0.7, 0.3, 0.2)), metric=metric, keep_last=1)
    assert names(tmp_path) == ["000000006", "000000015"]
    best = checkpoint.best(tmp_path)
    assert (best.path.name, best.position.epoch) == ("000000006", 2)
    assert checkpoint.newest(tmp_path).position.best == best.position.best


def test_the_best_one_is_saved_where_it_was_not_time_to_save(tmp_path: Path) -> None:
    evaluated(tmp_path, 0.1, 0.9, 0.3, every="100 steps")
    assert checkpoint.best(tmp_path).position.epoch == 2


def test_a_resumed_run_knows_its_best(tmp_path: Path) -> None:
    evaluated(tmp_path, 0.1, 0.9, 0.3, keep_last=1)
    trainer = resumed(plan_saved(3, keep_best={}), tmp_path)
    assert trainer.best == checkpoint.Best("accuracy", 0.9, 2, "000000006")


def test_who_keeps_no_best_is_told_how(tmp_path: Path) -> None:
    trainer_of(plan_saved(), tmp_path).train()
    with pytest.raises(RunError, match="keeps no best checkpoint") as caught:
        checkpoint.best(tmp_path)
    assert "keep_best" in caught.value.help[0]


def test_a_later_state_after_as_many_steps_is_another_checkpoint(tmp_path: Path) -> None:
    """Stopped in an evaluation, a run is saved before it, and once more after it."""
    plan = plan_saved(keep_last=9)
    stopped(trainer_of(plan, tmp_path), 0, STEPS - 1)
    assert names(tmp_path) == ["000000000", "000000003"]
    resumed(plan, tmp_path).train()
    assert names(tmp_path) == ["000000000", "000000003", "000000003.1", "000000006"]
    assert checkpoint.newest(tmp_path).path.name == "000000006"
    shutil.rmtree(tmp_path / "checkpoints" / "000000006")
    assert checkpoint.newest(tmp_path).position.epoch == 1


# ---------------------------------------------------------------------------------------------- the beginning


def test_a_checkpoint_within_an_epoch_knows_the_time_that_it_took_so_far(halted: Path) -> None:
    assert checkpoint.read_state(halted / "checkpoints" / "000000004").position.seconds > 0


def test_half_a_checkpoint_gives_its_name_to_the_whole_one(run: Path) -> None:
    (run / "checkpoints" / "000000006").mkdir()
    trainer = resumed(plan_saved(every="1 step"), run)
    assert "000000006 is of no use: it has no manifest.json, so it was never finished" in trainer.warnings[0]
    trainer.train()
    assert names(run) == ["000000005", "000000006"]


def test_what_is_killed_before_its_first_step_goes_on_from_the_beginning(whole: Trainer, tmp_path: Path) -> None:
    trainer = trainer_of(plan_saved(), tmp_path)
    trainer._one_epoch = sys.exit
    with pytest.raises(SystemExit):
        trainer.train()
    assert checkpoint.newest(tmp_path).position.steps == 0
    assert assert_resumes_as(whole, tmp_path) == []


# ---------------------------------------------------------------------------------------------- damages


def shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES: dict[str, Callable[[Path], None]] = {"a byte": flip, "shorter": shorter, "empty": empty, "gone": Path.unlink}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [*checkpoint.FILES, MANIFEST])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(name: str, damage: str, run: Path) -> None:
    DAMAGES[damage](run / "checkpoints" / "000000005" / name)
    found = checkpoint.newest(run)
    (warning,) = found.warnings
    assert warning.startswith("checkpoint 000000005 is of no use: ")
    assert warning.endswith("; 000000004 is used")
    assert name in warning
    assert found.position.steps == 4


def test_the_run_goes_on_from_the_one_before_as_if_nothing_had_been(whole: Trainer, run: Path) -> None:
    flip(run / "checkpoints" / "000000005" / "averages.safetensors")
    (warning,) = assert_resumes_as(whole, run)
    assert "000000005 is of no use: averages.safetensors" in warning
    assert names(run) == ["000000005", "000000005.damaged", "000000006"]


def test_files_of_two_checkpoints_do_not_go_together(run: Path) -> None:
    older, newer = (run / "checkpoints" / name for name in ("000000004", "000000005"))
    shutil.copy(older / "optimizer.safetensors", newer)
    (warning,) = checkpoint.newest(run).warnings
    assert warning == (
        "checkpoint 000000005 is of no use: optimizer.safetensors is not as it was written: its checksum differs; "
        "000000004 is used"
    )


def test_where_none_is_whole_it_says_what_to_do(run: Path) -> None:
    for name in names(run):
        flip(run / "checkpoints" / name / "model.safetensors")
    says = r"no checkpoint in .* is whole: 000000005: model.safetensors is not .*; 000000004: "
    with pytest.raises(RunError, match=says) as caught:
        resumed(plan_saved(), run)
    assert any("start it anew" in line for line in caught.value.help)
    assert names(run) == ["000000004", "000000005"], "and leaves them as they are"


def reshaped(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> bytes:
    found = load_file(path)
    change(found)
    return save(found)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("model", lambda found: found.update({"a.bn.weight": found["a.bn.weight"].double()})),
        ("model", lambda found: found.update({"a.bn.weight": found["a.bn.weight"][:1]})),
        ("model", lambda found: found.pop("a.bn.weight")),
        ("optimizer", lambda found: found.update({k: t.half() for k, t in found.items()})),
        ("optimizer", lambda found: found.update({k: t.flatten()[:1] for k, t in found.items()})),
        ("optimizer", lambda found: found.update({"nobody/momentum_buffer": torch.zeros(1)})),
        (
            "optimizer",
            lambda found: found.update({"a.bn.weight/exp_avg": found["a.bn.weight/momentum_buffer"].clone()}),
        ),
    ],
    ids=["dtype", "broadcast", "missing", "dtype of momentum", "broadcast momentum", "of nobody", "too much"],
)
def test_tensors_of_another_kind_are_refused_even_with_their_checksums(
    name: str, change: Callable[[Any], None], run: Path
) -> None:
    forge(newest(run), f"{name}.safetensors", reshaped(newest(run) / f"{name}.safetensors", change))
    with pytest.raises(RunError, match=r"does not go with its plan|are not those of the plan"):
        resumed(plan_saved(), run)


@pytest.mark.parametrize(
    "change",
    [{"position": None}, {"position": {"epoch": "1"}}, {"format_version": 2}, {"scaler": {"scale": []}}],
)
def test_a_state_of_another_form_is_no_traceback(change: dict[str, Any], run: Path) -> None:
    last = newest(run)
    forge(last, "state.json", json.dumps(json.loads((last / "state.json").read_text()) | change))
    (warning,) = checkpoint.newest(run).warnings
    assert warning.startswith(f"checkpoint {last.name} is of no use: state.json")


def test_a_link_in_place_of_a_file_is_refused_by_name(run: Path) -> None:
    model = newest(run) / "model.safetensors"
    model.rename(run / "elsewhere")
    model.symlink_to(run / "elsewhere")
    (warning,) = checkpoint.newest(run).warnings
    assert "model.safetensors: A symbolic link, which is not followed here" in warning


def test_a_link_in_place_of_the_folder_is_refused_by_name(run: Path) -> None:
    (run / "checkpoints").rename(run / "elsewhere")
    (run / "checkpoints").symlink_to(run / "elsewhere")
    with pytest.raises(RunError, match="checkpoints cannot be read: A symbolic link, which is not followed here"):
        checkpoint.newest(run)


# ---------------------------------------------------------------------------------------------- in a spec


def found_in(checkpoint: Any) -> tuple[Diagnostic, ...]:
    return parse_spec(json.dumps(document(train={"checkpoint": checkpoint}))).diagnostics


@pytest.mark.parametrize("every", ["1 epoch", "2 epochs", "1 steps", "1 step", "500 steps", "10 minutes"])
def test_an_interval_is_a_number_and_what_is_counted(every: str) -> None:
    assert not found_in({"every": every})


@pytest.mark.parametrize("every", ["0 steps", "1.5 minutes", "-1 steps", "epoch", "10", "10 s", "1  step", "1 step "])
def test_nothing_else_is_an_interval(every: str) -> None:
    (found,) = found_in({"every": every})
    assert (found.code, found.message) == ("SPC109", f"`train.checkpoint.every`: `{every}` is not accepted here")
    assert found.help == ("a whole number and what is counted: `1 epoch`, `500 steps`, `10 minutes`",)


def test_a_metric_that_the_task_does_not_have_is_found_at_its_place() -> None:
    found = compile_errors({"keep_best": {"metric": "acuracy"}})
    assert [d.code for d in found] == ["SPC218"]
    assert "did you mean `accuracy`?" in found[0].help[0]


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_a_metric_of_the_task_is_one(metric: str) -> None:
    assert not compile_errors({"keep_best": {"metric": metric}})


def compile_errors(checkpoint: Any) -> list[Diagnostic]:
    report = check_text(json.dumps(document(train={"checkpoint": checkpoint})))
    return [d for d in report.diagnostics if d.is_error]

"""When a training is over before its last epoch, and what is said of its best one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from runtime.data import DataError, Loader
from runtime.errors import Interrupted
from runtime.run import checkpoint as checkpoints
from runtime.run.evaluation import Findings
from runtime.run.patience import Patience
from runtime.run.saving import load_model
from runtime.run.trainer import Trainer
from specc import SpecError
from specc.checking import check_text
from specc.spec.sections.early_stopping import EarlyStopping

from .commands import specc
from .documents import Document, compiled, document
from .test_resume import STEPS, TINY, assert_same, resumed, rows, stopped, tensors, trainer_of
from .test_run_folder import images, on_images, trainer_in

HELD: Document = TINY | {"data": TINY["data"] | {"samples": 28, "validation": 8}}
PATIENT: Document = {"epochs": 9, "early_stopping": {"patience": 2}}


def said(trainer: Trainer, figures: Iterator[float], metric: str = "accuracy") -> Trainer:
    """Its evaluations of the validation set say these figures; those of the test set say 0."""
    zero = {"accuracy": 0.0, "loss": 0.0}
    trainer.evaluate = lambda data: Findings(zero | ({metric: next(figures)} if data is trainer.watched else {}))
    return trainer


def trained(folder: Path, *figures: float, metric: str = "accuracy", **train: Any) -> tuple[Trainer, dict[str, Any]]:
    trainer = said(trainer_of(compiled(**HELD, train=PATIENT | train), folder), iter(figures), metric)
    return trainer, trainer.train()


@pytest.mark.parametrize(
    ("figures", "epochs", "at"),
    [
        ((0.1, 0.5, 0.4, 0.5, 0.9), 4, 2),  # as good as the best is no better
        ((0.1, 0.2, 0.3, 0.1, 0.4, 0.1, 0.1), 7, 5),
        ((0.9, 0.1, 0.1), 3, 1),
        ((float("nan"), 0.1, 0.1, 0.1), 4, 2),
    ],
)
def test_a_run_stops_when_it_was_not_better_for_a_while(figures: Any, epochs: int, at: int, tmp_path: Path) -> None:
    trainer, summary = trained(tmp_path, *figures)
    assert (summary["epochs"], summary["status"]) == (epochs, "completed")
    told = f"stopped early after epoch {epochs}: accuracy was best after epoch {at} ({figures[at - 1]:.2%})"
    assert summary["stopped_early"] == told
    assert len(rows(tmp_path)) == epochs
    assert checkpoints.newest(tmp_path).position.epoch == epochs, "and its last state is kept"
    assert trainer.steps == epochs * STEPS


def test_a_lower_loss_is_better(tmp_path: Path) -> None:
    _, summary = trained(
        tmp_path, 3.0, 2.0, 1.0, 1.0, 0.9, 1.2, 1.1, metric="loss", early_stopping={"patience": 2, "metric": "loss"}
    )
    assert summary["epochs"] == 7
    assert summary["stopped_early"].endswith("loss was best after epoch 5 (0.9000)")


def test_a_little_better_may_not_be_enough(tmp_path: Path) -> None:
    _, summary = trained(tmp_path, 0.5, 0.55, 0.59, 0.7, early_stopping={"patience": 2, "min_delta": 0.1})
    assert summary["epochs"] == 3


def test_a_run_that_keeps_getting_better_goes_on_to_its_end(tmp_path: Path) -> None:
    _, summary = trained(tmp_path, *(n / 10 for n in range(1, 10)))
    assert (summary["epochs"], summary["stopped_early"]) == (9, None)


def test_the_last_state_is_kept_whenever_it_is_saved(tmp_path: Path) -> None:
    trained(tmp_path, 0.3, 0.2, 0.1, checkpoint={"every": "100 steps"})
    assert checkpoints.newest(tmp_path).position.epoch == 3


def test_a_resumed_run_stops_where_it_would_have(tmp_path: Path) -> None:
    """Its patience is counted from what the checkpoint's rows say, to the last digit."""
    figures = (0.1, 0.3, 0.1 + 0.2, 0.2, 0.3)  # the third is better by its last digit
    _, whole = trained(tmp_path / "whole", *figures)
    assert whole["epochs"] == 5
    plan = compiled(**HELD, train=PATIENT)
    for epoch in range(1, 5):
        folder = tmp_path / str(epoch)
        stopped(said(trainer_of(plan, folder), iter(figures)), epoch, 0)
        after = said(resumed(plan, folder), iter(figures[epoch:]))
        summary = after.train()
        assert (summary["epochs"], summary["stopped_early"]) == (5, whole["stopped_early"])
        assert rows(folder) == rows(tmp_path / "whole")


def test_rows_that_say_nothing_are_no_better_ones() -> None:
    patience = Patience(EarlyStopping(patience=3), "accuracy")
    patience.restore(b"epoch,val_accuracy\n1,\n2,0.5\n3,x\n4\n", "val")
    assert (patience.epoch, patience.at, patience.best, patience.over) == (4, 2, 0.5, False)
    patience.add({"accuracy": 0.5})
    assert patience.over


def test_whoever_wants_more_gives_more_patience(tmp_path: Path) -> None:
    train = {"epochs": 6, "early_stopping": {"patience": 1, "min_delta": 1.0}}  # no epoch is better by that
    (tmp_path / "tiny.yaml").write_text(json.dumps(document(**HELD, train=train)))
    done = specc("run", "tiny.yaml", "--device", "cpu", "--run-dir", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "stopped early after epoch 2: accuracy was best after epoch 1" in done.stdout
    again = specc("resume", "run", "--device", "cpu", cwd=tmp_path)
    assert "nothing is left to do" in again.stderr
    assert "stopped early after epoch 2" in again.stdout
    more = specc("resume", "run", "train.early_stopping.patience=2", "--device", "cpu", cwd=tmp_path)
    assert more.returncode == 0, more.stderr
    assert "stopped early after epoch 3" in more.stdout
    whole = specc("resume", "run", "train.early_stopping=null", "--device", "cpu", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert "after 6 epochs" in whole.stdout
    assert "stopped early" not in whole.stdout


# ---------------------------------------------------------------------------------------------- the best one


@pytest.mark.parametrize("average", [None, {"decay": 0.5}])
def test_the_best_one_is_tested_too_and_the_last_one_stays(average: Document | None, tmp_path: Path) -> None:
    """Under the averaged weights that it had, where there are any."""
    train = {"checkpoint": {"keep_best": {"metric": "loss"}}, "epochs": 4, "weight_average": average}
    plan = compiled(**HELD, train=train)
    trainer, losses = trainer_of(plan, tmp_path), iter((3.0, 1.0, 2.0, 4.0))
    really = trainer.evaluate
    trainer.evaluate = lambda data: (
        Findings({"accuracy": 0.0, "loss": next(losses)}) if data is trainer.watched else really(data)
    )
    summary = trainer.train()
    best = summary["best"]
    assert (best["metric"], best["value"], best["epoch"]) == ("loss", 1.0, 2)
    session = trainer_of(plan, tmp_path).session
    path = tmp_path / "checkpoints" / best["checkpoint"]
    load_model(session, checkpoints.load_weights(path), path)
    ((images, labels),) = Loader(trainer.splits.test, 99, seed=0, train=False).epoch(0)
    loss = float(torch.nn.functional.cross_entropy(session.predict(images), labels))
    assert best["test"]["loss"] == pytest.approx(loss)
    assert best["test"] != summary["test"]
    assert_same(tensors(resumed(plan, tmp_path).session), tensors(trainer.session))


def test_a_best_one_that_is_the_last_is_tested_once(tmp_path: Path) -> None:
    trainer = trainer_of(compiled(**HELD, train={"epochs": 2, "checkpoint": {"keep_best": {}}}), tmp_path)
    figures, tests = iter((0.1, 0.2)), []

    def look(data: Loader) -> Findings:
        if data is trainer.watched:
            return Findings({"accuracy": next(figures), "loss": 1.0})
        tests.append(data)
        return Findings({"accuracy": 0.7, "loss": 2.0})

    trainer.evaluate = look
    summary = trainer.train()
    assert len(tests) == 1
    assert summary["best"]["test"] == summary["test"] == {"accuracy": 0.7, "loss": 2.0}


def test_who_stops_a_run_in_its_last_test_has_lost_nothing(tmp_path: Path) -> None:
    """The network is the best one just then, and the last one is saved."""
    plan = compiled(**HELD, train={"epochs": 2, "checkpoint": {"keep_best": {}}})
    trainer, figures = trainer_of(plan, tmp_path / "stopped"), iter((0.2, 0.1))
    looks: list[Loader] = []

    def look(data: Loader) -> Findings:
        looks.append(data)
        if len(looks) == 4:  # two epochs, the test of the last one, then that of the best one
            trainer.interruption.wanted = 2
            trainer.interruption.grant()
        return Findings({"accuracy": next(figures) if data is trainer.watched else 0.0, "loss": 1.0})

    trainer.evaluate = look
    with pytest.raises(Interrupted):
        trainer.train()
    whole = trainer_of(plan, tmp_path / "whole")
    said(whole, iter((0.2, 0.1))).train()
    after = resumed(plan, tmp_path / "stopped")
    assert_same(tensors(after.session), tensors(whole.session))
    assert said(after, iter((0.1,))).train()["best"]["epoch"] == 1


# ---------------------------------------------------------------------------------------------- by which images


def found_in(**train: Any) -> list[tuple[str, str]]:
    text = json.dumps(document(train=train), indent=1)
    return [(str(d.severity).rpartition(".")[2].lower(), d.code) for d in check_text(text).diagnostics]


def test_nobody_stops_by_the_test_set() -> None:
    assert found_in(early_stopping={}) == [("error", "SPC650")]
    assert found_in(checkpoint={"keep_best": {}}) == [("warning", "SPC650")]
    with pytest.raises(SpecError):
        compiled(train={"early_stopping": {}})
    compiled(**HELD, train={"early_stopping": {}})


def test_the_place_is_pointed_at() -> None:
    text = "specc: 1\nname: x\nbackbone: {family: resnet_cifar, depth: 8}\ntrain:\n  early_stopping: {patience: 3}\n"
    (found,) = check_text(text).diagnostics
    assert found.span is not None
    assert (found.span.line, found.span.column) == (5, 3)
    assert found.message.startswith("there are no images for validation: when to stop would be chosen by the test set")


def test_a_metric_that_there_is_not_is_pointed_at() -> None:
    text = json.dumps(document(**HELD, train={"early_stopping": {"metric": "acuracy"}}), indent=1)
    (found,) = check_text(text).diagnostics
    assert found.code == "SPC218"
    assert "did you mean `accuracy`?" in found.help[0]


def test_folders_without_images_for_validation_are_seen_when_the_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images(tmp_path / "pictures")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"has no images for validation, which `train.early_stopping` needs") as caught:
        trainer_in(tmp_path / "run", train={"early_stopping": {}})
    assert "data.validation: 0.1" in caught.value.help[0]
    (tmp_path / "tiny.yaml").write_text(json.dumps(on_images(train={"early_stopping": {}}) | {"specc": 1, "name": "x"}))
    done = specc("run", "tiny.yaml", "--device", "cpu", "--run-dir", "no", cwd=tmp_path)
    assert done.returncode == 3
    assert "error[SPC650]: the data set in " in done.stderr
    assert not (tmp_path / "no").exists()
    (tmp_path / "pictures" / "val").rename(tmp_path / "pictures" / "test")
    images(tmp_path / "pictures")
    trainer = trainer_in(tmp_path / "again", train={"early_stopping": {}})
    assert (trainer.validated, trainer.splits.watches) == (True, "val")

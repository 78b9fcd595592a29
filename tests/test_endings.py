"""How a run ends before its time: what it says, what it leaves behind, and that the next one goes on from there."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.data import DataError
from runtime.data.loader import Part
from runtime.errors import Interrupted, RunError
from runtime.run import checkpoint, interruption, saving
from runtime.run.trainer import Trainer
from specc.plan import Instruction

from .checkpoints import names
from .documents import MAN, compiled
from .test_resume import STEPS, TINY, Watcher, plan_of, resumed, rows, trainer_of
from .test_runtime import assert_same, tensors


def summary(folder: Path) -> Any:
    """As a reader that knows no `NaN` reads it."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads((folder / "summary.json").read_text(), parse_constant=refuse)


def after(trainer: Trainer, epoch: int, steps: int, do: Callable[[], None]) -> Trainer:
    """Do something when so many steps of an epoch are done."""
    trainer.progress = Watcher(lambda done: do() if (trainer.epoch, done) == (epoch, steps) else None)
    return trainer


def ended(trainer: Trainer) -> RunError:
    with pytest.raises(RunError) as caught:
        trainer.train()
    return caught.value


def assert_goes_on(folder: Path, whole: Path) -> None:
    """Resumed, it ends as the run that was never ended."""
    plan = plan_of("SGD")
    before = trainer_of(plan, whole)
    before.train()
    trainer = resumed(plan, folder)
    trainer.train()
    assert_same(tensors(trainer.session), tensors(before.session))
    assert rows(folder) == rows(whole)
    assert summary(folder)["status"] == "completed"


# ---------------------------------------------------------------------------------------------- signals


def test_a_machine_that_is_taken_away_leaves_a_checkpoint(tmp_path: Path) -> None:
    trainer = trainer_of(plan_of("SGD"), tmp_path / "run")

    def terminate() -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # some clusters send two

    ending = ended(after(trainer, 1, 2, terminate))
    assert isinstance(ending, Interrupted)
    assert ending.exit_code == 130
    assert str(ending) == "interrupted in epoch 2; checkpoint saved"
    assert ending.help == (f"continue with: specc resume {tmp_path / 'run'}",)
    assert summary(tmp_path / "run")["status"] == "interrupted"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert_goes_on(tmp_path / "run", tmp_path / "whole")


def in_the_middle(trainer: Trainer, epoch: int, step: int, times: int = 1, number: int = signal.SIGINT) -> Trainer:
    """Send a signal in the middle of a step, when some groups have made theirs and others have not."""

    def watch(instruction: Instruction) -> None:
        if (trainer.epoch, trainer.step, instruction.kind) == (epoch, step, "step"):
            trainer.session.executor.observer = None
            for _ in range(times):
                signal.raise_signal(number)

    trainer.session.executor.observer = watch
    return trainer


def test_ctrl_c_waits_for_the_end_of_the_step(tmp_path: Path) -> None:
    ending = ended(in_the_middle(trainer_of(plan_of("SGD"), tmp_path / "run"), 1, 1))
    assert (ending.exit_code, str(ending)) == (130, "interrupted in epoch 2; checkpoint saved")
    assert resumed(plan_of("SGD"), tmp_path / "run").step == 2
    assert_goes_on(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_who_insists_on_stopping_keeps_the_last_checkpoint(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a step, so that its parameters are not worth keeping."""
    monkeypatch.setattr(interruption, "ECHO", 0)
    before = signal.getsignal(number)
    ending = ended(in_the_middle(trainer_of(plan_of("SGD"), tmp_path / "run"), 1, 1, 2, number))
    assert ending.exit_code == 130
    assert str(ending) == "interrupted in epoch 2; the last checkpoint stands, of the end of epoch 1"
    assert signal.getsignal(number) is before
    assert resumed(plan_of("SGD"), tmp_path / "run").step == 0
    if number == signal.SIGINT:
        assert_goes_on(tmp_path / "run", tmp_path / "whole")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_second_signal_that_python_swallows_is_heard_after_the_step(tmp_path: Path) -> None:
    """What is raised while an object is destroyed goes nowhere."""

    class Dying:
        def __del__(self) -> None:
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)

    ending = ended(after(trainer_of(plan_of("SGD"), tmp_path), 1, 2, lambda: Dying() and None))
    assert str(ending) == "interrupted in epoch 2; the last checkpoint stands, of the end of epoch 1"


def test_who_stops_twice_while_the_checkpoint_is_saved_keeps_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = stopping = trainer_of(plan_of("SGD"), tmp_path / "run")

    def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)
        monkeypatch.setattr(saving, "optimizer_tensors", lambda session: signal.raise_signal(signal.SIGINT))

    ending = ended(after(trainer, 1, 2, interrupt))
    monkeypatch.undo()
    assert stopping.interruption.wanted == signal.SIGINT
    assert str(ending) == "interrupted in epoch 2; the last checkpoint stands, of the end of epoch 1"
    assert_goes_on(tmp_path / "run", tmp_path / "whole")


def test_who_stops_twice_in_the_first_epoch_keeps_the_beginning(tmp_path: Path) -> None:
    trainer = trainer_of(plan_of("SGD"), tmp_path)

    def insist() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    said = "interrupted in epoch 1; the last checkpoint stands, of the beginning"
    assert str(ended(after(trainer, 0, 2, insist))) == said


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """As a shell does for what it runs in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        trainer = trainer_of(plan_of("SGD"), tmp_path)
        after(trainer, 0, 1, lambda: signal.raise_signal(signal.SIGINT)).train()
    finally:
        signal.signal(signal.SIGINT, before)
    assert summary(tmp_path)["status"] == "completed"


@pytest.mark.parametrize("signalled", [True, False])
def test_workers_that_are_gone_with_the_signal_do_not_spoil_the_checkpoint(signalled: bool, tmp_path: Path) -> None:
    trainer = trainer_of(plan_of("SGD"), tmp_path)
    parts = trainer.train_data.parts

    def dying(epoch: int, start: int = 0) -> Iterator[Part]:
        yield next(parts(epoch, start))
        trainer.interruption.wanted = signal.SIGTERM if signalled else 0
        raise DataError("the 1 worker processes failed: one exited unexpectedly")

    trainer.train_data.parts = dying
    assert isinstance(ended(trainer), Interrupted) == signalled
    assert checkpoint.newest(tmp_path).position.steps == 1, "between two steps, so that step need not be lost"


# ---------------------------------------------------------------------------------------------- numbers that are none


def poison(trainer: Trainer, name: str, value: float = torch.nan) -> Callable[[], None]:
    tensor: Tensor = trainer.session.model.tensors()[name]
    return lambda: tensor.detach().view(-1)[:1].fill_(value) and None


@pytest.mark.parametrize("name", ["a.conv.weight", "a.bn.running_var", "unit0.independent.ema.conv.weight"])
def test_what_breaks_after_the_last_look_is_no_result(name: str, tmp_path: Path) -> None:
    trainer = trainer_of(plan_of("SGD"), tmp_path / "run")
    ending = ended(after(trainer, 1, STEPS, poison(trainer, name)))
    assert str(ending) == f"`{name}` is not finite in epoch 2, step {STEPS}"
    assert "the last checkpoint stands, of the end of epoch 1" in ending.help
    assert (summary(tmp_path / "run")["status"], summary(tmp_path / "run")["test"]) == ("failed", {})
    assert len(rows(tmp_path / "run")) == 1
    assert_goes_on(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_no_number_is_found_before_its_optimizer_step(value: float, tmp_path: Path) -> None:
    trainer = trainer_of(plan_of("SGD"), tmp_path / "run")
    before: dict[str, Tensor] = {}

    def break_it() -> None:
        poison(trainer, "unit0.independent.classifier.fc1.bias", value)()
        before.update({name: tensor.clone() for name, tensor in tensors(trainer.session).items()})

    ending = ended(after(trainer, 1, 1, break_it))
    said = r"the loss `classification` of `unit0\.independent` is (nan|inf) in epoch 2, step 2"
    assert re.fullmatch(said, str(ending))
    assert ending.help[0] == "the last checkpoint stands, of the end of epoch 1"
    assert f"specc run {tmp_path / 'run' / 'spec.resolved.yaml'} train.optimizer.lr=" in ending.help[1]
    assert len(ending.help) == 2
    unchanged = ("a.conv.weight", "unit0.independent.classifier.fc1.weight")
    assert_same({n: tensors(trainer.session)[n] for n in unchanged}, {n: before[n] for n in unchanged})
    found = summary(tmp_path / "run")
    assert (found["status"], found["cause"]) == ("failed", str(ending))
    assert_goes_on(tmp_path / "run", tmp_path / "whole")


def test_a_loss_between_two_looks_is_noticed_at_the_end_of_the_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(plan_of("SGD"), tmp_path)
    monkeypatch.setattr(trainer, "_reads_loss", lambda step: False)
    ending = ended(after(trainer, 0, 1, lambda: trainer.averages.sums["accuracy"].fill_(torch.inf) and None))
    assert str(ending) == f"of the means so far `accuracy` is inf in epoch 1, step {STEPS}"


def test_what_is_broken_is_not_saved_by_who_stops(tmp_path: Path) -> None:
    trainer = trainer_of(plan_of("SGD"), tmp_path)
    spoil = poison(trainer, "a.conv.weight")

    def stop() -> None:
        spoil()
        trainer.interruption.wanted = signal.SIGINT

    assert "`a.conv.weight` is not finite" in str(ended(after(trainer, 0, 1, stop)))
    assert checkpoint.newest(tmp_path).position.steps == 0


def test_a_test_that_is_no_number_completes_nothing(tmp_path: Path) -> None:
    """Weights that are numbers may give logits that are none."""
    trainer = trainer_of(plan_of("SGD"), tmp_path)
    ending = ended(after(trainer, 1, STEPS, poison(trainer, "a.conv.weight", 3e38)))
    assert "the training ended, but of its test `loss` is " in str(ending)
    assert summary(tmp_path)["status"] == "failed"


# ---------------------------------------------------------------------------------------------- a full disk


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    trainer = trainer_of(plan_of("SGD"), tmp_path / "run")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))

    with files_of_at_most(2**40):
        ending = ended(after(trainer, 1, 1, fill))
    folder = tmp_path / "run" / "checkpoints"
    assert ending.exit_code == 3
    assert str(ending).startswith(f"cannot write {folder / '000000006'}: ")
    assert "File too large" in str(ending)
    assert ending.help == (
        "the last checkpoint stands, of the end of epoch 1",
        f"as soon as it can be written: specc resume {tmp_path / 'run'}",
    )
    assert names(tmp_path / "run") == ["000000000", "000000003"]
    assert_goes_on(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("name", ["metrics.csv", "summary.json", "checkpoints"])
def test_what_cannot_be_written_is_named(name: str, tmp_path: Path) -> None:
    trainer = trainer_of(plan_of("SGD"), tmp_path)
    if name == "checkpoints":
        (tmp_path / name).write_text("a file")
    else:
        (tmp_path / name).mkdir()
    ending = ended(trainer)
    assert type(ending) is RunError
    assert str(ending).startswith(f"cannot write {tmp_path / name}")
    assert ending.help[-1].startswith("as soon as it can be written: specc resume ")


def test_a_run_directory_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    plan = compiled(**TINY, **MAN, train={"epochs": 2, "checkpoint": {"every": "1 step"}})
    trainer = trainer_of(plan, run)
    ending = ended(after(trainer, 0, 1, lambda: run.rename(elsewhere) and None))
    assert str(ending) == f"the run directory {run} is no longer there"
    assert len(ending.help) == 2
    assert not run.exists()
    assert checkpoint.newest(elsewhere).position.steps == 0


def test_a_checkpoint_for_which_there_is_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library that writes tensors would end the process, without a word."""
    trainer = trainer_of(plan_of("SGD"), tmp_path)

    def none_left(*_: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    ending = ended(after(trainer, 1, 2, lambda: monkeypatch.setattr(saving, "mmap", none_left)))
    assert re.fullmatch(r"out of memory: \d+ bytes for a file of tensors: Cannot allocate memory", str(ending))
    resume = f"as soon as there is more memory: specc resume {tmp_path}"
    assert ending.help == ("the last checkpoint stands, of the end of epoch 1", resume)
    assert resumed(plan_of("SGD"), tmp_path).step == 0


@pytest.mark.parametrize("said", ["could not create a primitive", "std::bad_alloc", ""])
def test_libraries_without_memory_say_so_in_words_of_their_own(said: str, tmp_path: Path) -> None:
    trainer = trainer_of(plan_of("SGD"), tmp_path)

    def fail() -> None:
        raise RuntimeError(said) if said else MemoryError

    assert str(ended(after(trainer, 1, 2, fail))) == f"out of memory: {said or 'the host has none left'}"


def test_an_interrupted_run_is_saved_where_its_summary_cannot_be(tmp_path: Path) -> None:
    trainer = trainer_of(plan_of("SGD"), tmp_path)
    (tmp_path / "summary.json").mkdir()
    ending = ended(after(trainer, 0, 1, lambda: signal.raise_signal(signal.SIGINT)))
    assert ending.exit_code == 130
    assert checkpoint.newest(tmp_path).position.steps == 1
    assert any("summary.json: Is a directory" in line for line in ending.help)

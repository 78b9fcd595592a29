"""What befalls a run, in a real process: a line of cause, one of what was saved, one of what to type."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from runtime.data import DataError
from runtime.data.workers import loading, worker_failures
from runtime.engine.session import Session
from runtime.run import checkpoint

from .attacks import LAYERS, Outcome, spec
from .commands import Result, specc
from .documents import document
from .processes import (
    Child,
    Deed,
    done,
    may_mount,
    mount_disk,
    resize,
    start,
    started,
    wait_for,
    with_little_memory,
    without_privileges,
)

ENDLESS = 100_000


@pytest.fixture(scope="module", autouse=True)  # with all that is imported late: other processes are copies of this one
def whole(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run that nothing befell."""
    folder = tmp_path_factory.mktemp("whole")
    result = specc("run", spec(folder), "--device", "cpu", "--run-dir", "run", cwd=folder)
    assert result.returncode == 0, result.stderr
    return Outcome.of(folder / "run")


def begun(path: Path, run: Path, before: Deed = lambda: None) -> Child:
    """A run that has begun to train."""
    child = started("run", path, "--device", "cpu", "--run-dir", run, before=before)
    wait_for(lambda: len(checkpoint.names(run)) > 1 if run.exists() else False, child)
    return child


def said(result: Result, code: int = 3) -> list[str]:
    """The cause and what to do, of a command that ended with an exit code."""
    assert result.returncode == code, result
    assert "Traceback" not in result.stderr, result.stderr
    cause, *help = [line for line in result.stderr.splitlines() if line.startswith(("error: ", "  = help: "))]
    return [cause.removeprefix("error: "), *(line.removeprefix("  = help: ") for line in help)]


def summary(run: Path) -> Any:
    return json.loads((run / "summary.json").read_text())


def assert_summarised(run: Path, status: str, cause: str) -> None:
    found = summary(run)
    assert (found["status"], found["cause"]) == (status, cause)


def assert_goes_on(run: Path, whole: Outcome) -> None:
    result = done("resume", run, "--device", "cpu")
    assert result.returncode == 0, result.stderr
    assert Outcome.of(run) == whole


# ---------------------------------------------------------------------------------------------- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_signal_finishes_the_step_saves_and_says_how_to_go_on(number: signal.Signals, tmp_path: Path) -> None:
    run = tmp_path / "run"
    child = begun(spec(tmp_path, epochs=ENDLESS), run)
    child.kill(number)
    cause, *help = said(child.wait(), 130)
    assert re.fullmatch(r"interrupted in epoch \d+; checkpoint saved", cause)
    assert help == [f"continue with: specc resume {run}"]
    assert_summarised(run, "interrupted", cause)
    position = checkpoint.newest(run).position
    assert position.steps == summary(run)["steps"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_second_signal_stops_at_once(number: signal.Signals, tmp_path: Path) -> None:
    """In the middle of a step that would take an hour."""
    run, seen = tmp_path / "run", tmp_path / "seen"

    def before() -> None:
        def slow(*_: object, **__: object) -> None:
            seen.touch()
            signal.pause()
            seen.with_name("first").touch()
            signal.pause()
            raise AssertionError

        Session.train_step = slow

    child = started("run", spec(tmp_path), "--device", "cpu", "--run-dir", run, before=before)
    wait_for(seen.exists, child)
    child.kill(number)
    wait_for((tmp_path / "first").exists, child)
    child.kill(signal.SIGINT if number != signal.SIGINT else signal.SIGTERM)  # whichever
    cause, *help = said(child.wait(), 130)
    assert cause == "interrupted in epoch 1; the last checkpoint stands, of the beginning"
    assert help == [f"continue with: specc resume {run}"]
    assert_summarised(run, "interrupted", cause)


# ---------------------------------------------------------------------------------------------- disks


def on_a_disk(folder: Path, size: str, work: Callable[[], None]) -> None:
    """Do some work where a disk of its own is mounted on a folder."""
    if not may_mount():
        pytest.skip("no disk may be mounted here; RLIMIT_FSIZE stands in for it in test_endings.py")
    result = start(work, lambda: mount_disk(folder, size)).wait()
    assert result.returncode == 0, result.stderr


def test_a_full_disk(whole: Outcome, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    path, run = spec(tmp_path, checkpoint={"every": "1 step", "keep_last": 100}), disk / "run"

    def work() -> None:
        cause, saved, then = said(done("run", path, "--device", "cpu", "--run-dir", run))[:3]
        assert re.fullmatch(rf"cannot write {run}/\S+: No space left on device", cause), cause
        assert re.fullmatch(r"the last checkpoint stands, of (epoch \d, step \d|the end of epoch \d)", saved), saved
        assert then == f"as soon as it can be written: specc resume {run}"
        checkpoint.newest(run)
        assert "No space left" in said(done("resume", run, "--device", "cpu"))[0]
        resize(disk, "10m")
        result = done("resume", run, "--device", "cpu")
        assert result.returncode == 0, result.stderr
        found = Outcome.of(run)
        assert (found.weights, found.optimizers, found.metrics) == (whole.weights, whole.optimizers, whole.metrics)

    on_a_disk(disk, "220k", work)


def test_a_run_directory_that_becomes_read_only(tmp_path: Path) -> None:
    """While its lock and its metrics may still be written, as with a disk that an error makes read-only."""
    run = tmp_path / "run"
    child = begun(spec(tmp_path, epochs=ENDLESS), run, without_privileges)
    for folder in (run, run / "checkpoints"):
        folder.chmod(0o555)
    cause, saved, then = said(child.wait())
    assert re.fullmatch(rf"cannot write {run}/\S+: Permission denied", cause), cause
    assert saved.startswith("the last checkpoint stands, of ")
    assert then == f"as soon as it can be written: specc resume {run}"
    assert "Permission denied" in said(done("resume", run, "--device", "cpu", before=without_privileges))[0]
    for folder in (run, run / "checkpoints"):
        folder.chmod(0o755)
    before = checkpoint.newest(run).position.steps
    child = started("resume", run, "--device", "cpu", before=without_privileges)
    wait_for(lambda: checkpoint.newest(run).position.steps > before, child)
    child.kill(signal.SIGTERM)
    assert "checkpoint saved" in said(child.wait(), 130)[0]


def test_a_run_directory_that_vanishes(tmp_path: Path) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    child = begun(spec(tmp_path, epochs=ENDLESS), run)
    run.rename(elsewhere)
    cause, saved, then = said(child.wait())
    assert cause == f"the run directory {run} is no longer there"
    assert saved == "nothing is left of it, unless it was moved"
    assert then == f"from where it is: specc resume {run}"
    assert not run.exists(), "no half of a run directory is made in its place"
    checkpoint.newest(elsewhere)


def test_a_run_directory_that_somebody_else_is_using(tmp_path: Path) -> None:
    run = tmp_path / "run"
    path = spec(tmp_path, epochs=ENDLESS)
    child = begun(path, run)
    cause, *_ = said(done("resume", run, "--device", "cpu"))
    assert f"the run in {run} is in use by process {child.pid} on " in cause
    cause, *_ = said(done("run", path, "--device", "cpu", "--run-dir", run))
    assert cause == f"{run} already holds a run"
    child.kill(signal.SIGTERM)
    assert "checkpoint saved" in said(child.wait(), 130)[0], "it did not notice"


# ---------------------------------------------------------------------------------------------- memory


def test_no_memory_left_on_the_host(tmp_path: Path) -> None:
    path, run = spec(tmp_path), tmp_path / "run"
    sizes = ["data.image_size=64", "data.samples=512", "data.batch_size=256", "data.channels=3"]
    layers = json.dumps([layer | ({"out": 256} if layer["op"] == "conv_bn_relu" else {}) for layer in LAYERS])
    words = ("run", path, "--device", "cpu", "--run-dir", run, *sizes, f"backbone.layers={layers}")
    cause, saved, then = said(done(*words, before=with_little_memory(300 << 20)))
    assert cause.startswith("out of memory"), cause
    assert saved == "the last checkpoint stands, of the beginning"
    assert f"specc run {run}/spec.resolved.yaml data.batch_size=128" in then
    assert_summarised(run, "failed", cause)


# ---------------------------------------------------------------------------------------------- images


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """An image folder of two classes."""
    generator, root = np.random.default_rng(0), tmp_path / "pictures"
    for half in ("train", "val"):
        for i in range(24):
            path = root / half / "ab"[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(256, size=(8, 8, 3), dtype=np.uint8)).save(path)
    return root


def on_pictures(folder: Path, root: Path, **data: Any) -> Path:
    layers = [*LAYERS[:-1], LAYERS[-1] | {"out": 2}]
    data = {"dataset": "image_folder", "root": str(root), "image_size": 8, "classes": 2, "batch_size": 4} | data
    train = {"epochs": ENDLESS, "checkpoint": {"every": "1 step", "keep_last": 2}}
    parts = {"data": data, "backbone": {"layers": layers}, "split": {"after": ["drop"]}, "train": train}
    path = folder / "pictures.yaml"
    path.write_text(json.dumps(document(**parts)))
    return path


def test_a_worker_process_that_is_killed(pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    child = begun(on_pictures(tmp_path, pictures, workers=2), run)
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    wait_for(lambda: children.read_text().split(), child)
    while not child.ended():
        for worker in children.read_text().split() if children.exists() else ():
            try:
                os.kill(int(worker), signal.SIGKILL)
                break
            except ProcessLookupError:
                continue
        wait_for(lambda: True, child)
    cause, *help = said(child.wait())
    assert "worker process" in cause
    assert re.search(r"DataLoader worker \(pid\(s\) \d+(, \d+)?\) exited unexpectedly|one has died", cause), cause
    assert any(line.startswith("the last checkpoint stands, of ") for line in help)
    assert any(f"specc resume {run}" in line for line in help)
    assert_summarised(run, "failed", cause)


def test_a_dead_worker_is_noticed_where_its_images_are_waited_for_and_nowhere_else() -> None:
    """Or the error could come in the middle of a checkpoint."""
    before = signal.getsignal(signal.SIGCHLD)
    assert len(list(loading(list(range(3)), 1))) == 3
    assert signal.getsignal(signal.SIGCHLD) == before


@pytest.mark.parametrize(
    "error", [ConnectionResetError(104, "Connection reset by peer"), EOFError()], ids=["reset", "end"]
)
def test_a_worker_that_dies_while_it_hands_over_a_batch_is_named(error: Exception) -> None:
    with pytest.raises(DataError, match="the 2 worker processes failed: one has died"), worker_failures(2):
        raise error


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_is_cut_off_while_it_is_trained_on(workers: int, pictures: Path, tmp_path: Path) -> None:
    run, picture = tmp_path / "run", pictures / "train" / "a" / "2.png"
    child = begun(on_pictures(tmp_path, pictures, workers=workers), run)
    picture.write_bytes(picture.read_bytes()[:60])
    cause, *help = said(child.wait())
    assert cause.startswith(f"{picture} cannot be decoded: "), cause
    assert any(line.startswith("the last checkpoint stands, of ") for line in help)
    assert help[-1] == f"then: specc resume {run}"
    assert_summarised(run, "failed", cause)
    assert checkpoint.newest(run).position.steps == summary(run)["steps"], "what was trained is not lost"


# ---------------------------------------------------------------------------------------------- numbers


def test_a_loss_that_is_no_number(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("train.optimizer={name: sgd, lr: 1.0e+30}", "train.schedule={name: constant}")
    result = done("run", spec(tmp_path), "--device", "cpu", "--run-dir", run, *words)
    cause, saved, then = said(result)
    assert re.fullmatch(r"the loss `classification` of `unit\d\.independent` is (nan|inf) in epoch 1, step \d", cause)
    assert saved.startswith("the last checkpoint stands, of ")
    assert f"specc run {run}/spec.resolved.yaml train.optimizer.lr=1e+29" in then
    assert_summarised(run, "failed", cause)
    from safetensors.torch import load_file

    kept = load_file(checkpoint.newest(run).path / checkpoint.MODEL)
    assert all(torch.isfinite(tensor).all() for tensor in kept.values())

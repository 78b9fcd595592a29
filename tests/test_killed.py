"""A run that is killed at any moment, and resumed, is the run that nobody killed: weights, optimizers, metrics."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from .attacks import Executioner, Killer, Outcome, spec
from .commands import specc
from .processes import Deed, done, start, started

KILLED = -9


@dataclass(frozen=True)
class Whole:
    """A run that nobody disturbed, and how much there is to disturb."""

    folder: Path
    outcome: Outcome
    files: int  # times that it touches the disk
    calls: int  # of functions

    @property
    def spec(self) -> Path:
        return self.folder / "spec.yaml"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    path = spec(folder)
    assert specc("run", path, "--device", "cpu", "--run-dir", "warm", cwd=folder).returncode == 0, "all is imported"
    files = counted(Killer(folder / "files", -1), path, folder / "files")
    calls = counted(Executioner(-1), path, folder / "calls")
    return Whole(folder, Outcome.of(folder / "files"), files, calls)


def counted(killer: Killer | Executioner, path: Path, run: Path) -> int:
    """How often it could have struck."""

    def work() -> None:
        from specc.cli import main

        try:
            main.main(["run", str(path), "--device", "cpu", "--run-dir", str(run)], "specc", standalone_mode=False)
        finally:
            sys.setprofile(None)
            print(-1 - killer.left)

    result = start(work, killer).wait()
    assert result.returncode == 0, result.stderr
    return int(result.stdout.splitlines()[-1])


def kill(whole: Whole, run: Path, before: Deed) -> None:
    """A run that is killed."""
    result = done("run", whole.spec, "--device", "cpu", "--run-dir", run, before=before)
    assert result.returncode == KILLED, result.stderr


def assert_goes_on(whole: Whole, run: Path) -> None:
    """Resumed, or begun anew where it was killed before there was a run, it is the one that nobody killed."""
    result = specc("resume", run, "--device", "cpu", cwd=run.parent)
    if result.returncode:
        assert f"{run} is not a run directory" in result.stderr
        assert not (run / "checkpoints").exists(), "nothing was trained yet"
        result = specc("run", whole.spec, "--device", "cpu", "--run-dir", run, cwd=run.parent)
    assert result.returncode == 0, result.stderr
    assert Outcome.of(run) == whole.outcome
    left = {path.name for path in run.rglob("*") if path.name.endswith((".tmp", ".next", ".damaged"))}
    assert not left, "nothing is left lying about"


def points(total: int, parts: int, part: int) -> Iterable[int]:
    """One of several parts of all points, spread over the whole."""
    return range(part, total, parts)


STRIDE = 23
PARTS = [pytest.param(part, marks=() if part == 22 else pytest.mark.full) for part in range(STRIDE)]


@pytest.mark.parametrize("part", PARTS)
def test_a_run_may_be_killed_at_every_file_operation(part: int, whole: Whole, tmp_path: Path) -> None:
    assert whole.files > 100
    for count in points(whole.files, STRIDE, part):
        run = tmp_path / str(count)
        kill(whole, run, Killer(run, count, torn=count % 2 == 0))
        assert_goes_on(whole, run)
        shutil.rmtree(run)


MOMENTS = [pytest.param(seed, marks=() if seed < 4 else pytest.mark.full) for seed in range(25)]


@pytest.mark.parametrize("seed", MOMENTS)
def test_a_run_may_be_killed_at_any_moment(seed: int, whole: Whole, tmp_path: Path) -> None:
    """Of its steps, of the writing of its checkpoints, of its evaluations: after as many calls of functions."""
    kill(whole, tmp_path / "run", Executioner(random.Random(seed).randrange(1, whole.calls)))
    assert_goes_on(whole, tmp_path / "run")


def test_a_resumed_run_may_be_killed_as_well(whole: Whole, tmp_path: Path) -> None:
    run, draw = tmp_path / "run", random.Random(0)
    kill(whole, run, Killer(run, whole.files // 3))
    for _ in range(4):
        done("resume", run, "--device", "cpu", before=Killer(run, draw.randrange(60)))
    assert_goes_on(whole, run)


@pytest.mark.full
def test_a_run_may_be_killed_by_somebody_else(whole: Whole, tmp_path: Path) -> None:
    """Who does not know where it is, in the middle of a call of the system for example: 25 times in a row."""
    run, draw, killed = tmp_path / "run", random.Random(0), 0
    path = spec(tmp_path, epochs=120)
    words: tuple[str | Path, ...] = ("run", path, "--device", "cpu", "--run-dir", run)
    while killed < 25:
        child = started(*words)
        before = _metrics(run)
        while not child.ended() and _metrics(run) == before:  # it has got somewhere
            time.sleep(0.01)
        time.sleep(draw.random() / 5)
        if not child.ended():
            child.kill(9)
        if child.wait().returncode != KILLED:
            break
        killed += 1
        words = ("resume", run, "--device", "cpu")
    assert killed == 25, "the run was long enough"
    assert specc("resume", run, "--device", "cpu", cwd=tmp_path).returncode == 0
    assert specc("run", path, "--device", "cpu", "--run-dir", "whole", cwd=tmp_path).returncode == 0
    assert Outcome.of(run) == Outcome.of(tmp_path / "whole")


def _metrics(run: Path) -> int:
    try:
        return os.stat(run / "metrics.csv").st_ino + os.stat(run / "metrics.csv").st_size
    except OSError:
        return 0

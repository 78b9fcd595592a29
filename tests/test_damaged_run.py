"""A run directory in which any byte may be another: no traceback, no other numbers in silence, nothing executed.

`tests/attacks.py` damages; what is damaged is read as `specc resume` reads it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import Interrupted, RunError
from runtime.run import checkpoint, launch
from runtime.run.checkpoint import AVERAGES, MODEL, OPTIMIZER, STATE
from runtime.run.rundir import RunDir
from runtime.run.trainer import Trainer
from specc.runs import manifest
from specc.runs.names import ENVIRONMENT, METRICS, PLAN, RESOLVED, SPEC, SUMMARY

from .attacks import Outcome, damaged, spec
from .commands import Result, specc

MANY = 2000
OF_A_CHECKPOINT = (MODEL, OPTIMIZER, AVERAGES, METRICS, STATE, manifest.NAME)
EXECUTING = {"os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pickle.find_class", "ctypes.dlopen"}
SEEDS = [pytest.param(range(40), id="some"), pytest.param(range(MANY), id="many", marks=pytest.mark.full)]

executed: list[str] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if executed is not None and event in EXECUTING:
        executed.append(f"{event}{arguments}")


sys.addaudithook(_watch)  # for good: one that looks away costs nothing


@pytest.fixture
def nothing_executed() -> Iterator[None]:
    global executed
    executed = []
    try:
        yield
        assert not executed
    finally:
        executed = None


@dataclass(frozen=True)
class Runs:
    """One that is finished, and the same stopped in the middle of its second epoch."""

    finished: Path
    stopped: Path
    outcome: Outcome


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    words = ("run", spec(folder), "--device", "cpu", "--run-dir")
    assert specc(*words, "finished", cwd=folder).returncode == 0
    with pytest.MonkeyPatch.context() as patch:
        step = Trainer._step

        def stopping(trainer: Trainer, *batch: Any) -> Any:
            trainer.interruption.wanted = int(trainer.steps == 2 * len(trainer.train_data) - 2)
            return step(trainer, *batch)

        patch.setattr(Trainer, "_step", stopping)
        assert specc(*words, "stopped", cwd=folder).returncode == Interrupted.exit_code
    return Runs(folder / "finished", folder / "stopped", Outcome.of(folder / "finished"))


@pytest.fixture
def run(runs: Runs, tmp_path: Path) -> Path:
    """A copy of the one that was stopped."""
    return shutil.copytree(runs.stopped, tmp_path / "run")


def damages(path: Path, seeds: range) -> Iterator[bytes]:
    """Spoil a file in one way after the other; in the end it is as it was."""
    content = path.read_bytes()
    try:
        for seed in seeds:
            found = damaged(content, seed)
            path.write_bytes(found)
            yield found
    finally:
        path.write_bytes(content)


# ---------------------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("name", OF_A_CHECKPOINT)
@pytest.mark.usefixtures("nothing_executed")
def test_a_checkpoint_with_another_byte_is_not_used(name: str, seeds: range, run: Path) -> None:
    last, before = checkpoint.names(run)
    for _ in damages(run / "checkpoints" / last / name, seeds):
        found = checkpoint.newest(run)
        assert found.path.name == before
        assert list(found.skipped) == [last]
        assert last in found.warnings[0]
    assert checkpoint.newest(run).path.name == last


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("name", [PLAN, RESOLVED, manifest.NAME])
@pytest.mark.usefixtures("nothing_executed")
def test_a_plan_with_another_byte_is_not_trained(name: str, seeds: range, run: Path) -> None:
    target = RunDir(run)
    read = target.resolved if name == RESOLVED else target.plan
    for _ in damages(run / name, seeds):
        with pytest.raises(RunError, match=r"damaged|not as it was written"):
            read()
    read()


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.parametrize("name", [SPEC, ENVIRONMENT])
@pytest.mark.usefixtures("nothing_executed")
def test_what_a_run_can_do_without_is_warned_of(name: str, seeds: range, run: Path) -> None:
    target = RunDir(run)
    for _ in damages(run / name, seeds):
        (told,) = target.damages()
        assert name in told
        assert bool(target.environment()) == (name != ENVIRONMENT)
    assert not target.damages()


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.usefixtures("nothing_executed")
def test_metrics_with_another_byte_are_those_of_the_checkpoint_again(seeds: range, run: Path) -> None:
    target, recorded = RunDir(run), checkpoint.newest(run).metrics()
    assert recorded.count(b"\n") == 2
    for found in damages(target.metrics, seeds):
        assert target.restore_metrics(recorded) == found.startswith(recorded), "else it is warned of"
        assert target.metrics.read_bytes() == recorded


@pytest.mark.parametrize("seeds", SEEDS)
@pytest.mark.usefixtures("nothing_executed")
def test_a_summary_with_another_byte_tells_nothing(seeds: range, runs: Runs, tmp_path: Path) -> None:
    target = RunDir(shutil.copytree(runs.finished, tmp_path / "run"))
    plan, said = target.plan(), target.summary()
    assert launch._finished(target, plan)
    for _ in damages(target.path / SUMMARY, seeds):
        try:
            assert target.summary() == said, "a blank or two"
        except manifest.Damaged:
            assert launch._finished(target, plan) == [], "it is made anew, from the last checkpoint"
            assert SUMMARY in target.damages()[0]


# ---------------------------------------------------------------------------------------------- what comes of it


def places(run: Path) -> dict[str, Path]:
    last, before = checkpoint.names(run)
    found = {f"last {name}": run / "checkpoints" / last / name for name in OF_A_CHECKPOINT}
    found |= {f"before {name}": run / "checkpoints" / before / name for name in OF_A_CHECKPOINT}
    return found | {name: run / name for name in (PLAN, RESOLVED, SPEC, ENVIRONMENT, SUMMARY, manifest.NAME, METRICS)}


PLACES = [f"{which} {name}" for which in ("last", "before") for name in OF_A_CHECKPOINT]
PLACES += [PLAN, RESOLVED, SPEC, ENVIRONMENT, SUMMARY, manifest.NAME, METRICS]
SOME = {"last " + MODEL, PLAN, SUMMARY, METRICS}


def resumed(run: Path) -> Result:
    return specc("resume", run, "--device", "cpu", cwd=run.parent)


@pytest.mark.parametrize(
    ("place", "seed"),
    [
        pytest.param(place, seed, marks=() if place in SOME and seed == 0 else pytest.mark.full)
        for place in PLACES
        for seed in range(10)
    ],
)
def test_a_damaged_run_goes_on_to_the_same_end_or_says_why_not(place: str, seed: int, runs: Runs, run: Path) -> None:
    path = places(run)[place]
    content = path.read_bytes()
    spoilt = damaged(content, seed)
    path.write_bytes(spoilt)
    result = resumed(run)
    if place in (PLAN, RESOLVED, manifest.NAME):
        assert result.returncode == 3
        assert "error: " in result.stderr
        assert "damaged" in result.stderr or "is not a run directory" in result.stderr
    else:
        assert result.returncode == 0, result.stderr
        assert Outcome.of(run) == runs.outcome
        blank = place == SUMMARY and _says(spoilt) == _says(content)  # times are in it: what a seed spoils varies
        harmless = blank or place.startswith("before ") or (place == METRICS and spoilt.startswith(content))
        assert ("warning: " in result.stderr) != harmless, result.stderr


def _says(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content


@pytest.mark.parametrize("words", [("evaluate",), ("export", "--to", "safetensors")], ids=lambda words: words[0])
def test_what_reads_a_checkpoint_says_that_the_newest_is_damaged(words: tuple[str, ...], runs: Runs, run: Path) -> None:
    last, _ = checkpoint.names(run)
    path = run / "checkpoints" / last / MODEL
    path.write_bytes(damaged(path.read_bytes(), 0))
    result = specc(words[0], run, *words[1:], cwd=run.parent)
    assert result.returncode == 0, result.stderr
    assert f"warning: checkpoint {last} " in result.stderr
    assert f"{MODEL} is not as it was written" in result.stderr


def test_where_no_checkpoint_is_whole_nothing_is_trained(run: Path) -> None:
    for name in checkpoint.names(run):
        path = run / "checkpoints" / name / STATE
        path.write_bytes(damaged(path.read_bytes(), 1))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    result = resumed(run)
    assert result.returncode == 3
    assert "no checkpoint in" in result.stderr
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert os.listdir(run.parent) == ["run"]

"""`specc resume RUN key=value`: what a run may go on with, and what would make it another one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runtime.run import record
from runtime.run.changes import Change
from runtime.run.rundir import RunDir
from specc.cli import main
from specc.runs import manifest
from specc.spec.resuming import MAY_CHANGE, changed, dotted
from tests.documents import document

from .checkpoints import newest
from .processes import dies
from .test_resume import TINY, rows

TRAIN = {"epochs": 2, "optimizer": {"name": "sgd", "lr": 0.1}, "schedule": {"name": "cosine"}}


def specc(*words: object) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def trained(folder: Path, *overrides: str) -> Path:
    spec = folder.with_suffix(".yaml")
    spec.write_text(json.dumps(document(**TINY, train=TRAIN)))
    result = specc("run", spec, "--device", "cpu", "--run-dir", folder, *overrides)
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs that is complete."""
    return trained(tmp_path_factory.mktemp("done") / "run")


@pytest.fixture
def run(done: Path, tmp_path: Path) -> Path:
    return shutil.copytree(done, tmp_path / "run")


def resume(run: Path, *overrides: str) -> Result:
    return specc("resume", run, "--device", "cpu", *overrides)


def stats(folder: Path) -> dict[str, tuple[int, int]]:
    """What a write would change: of folders too."""
    paths = [folder, *folder.rglob("*")]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}


# ---------------------------------------------------------------------------------------------- nothing to do


@pytest.mark.parametrize("words", [[], ["train.epochs=2"], ["data.workers=0", "train.epochs=2"]])
def test_a_run_that_is_done_says_so_and_touches_nothing(words: list[str], run: Path) -> None:
    before = stats(run)
    result = resume(run, *words)
    assert result.exit_code == 0
    assert result.stderr == f"the run in {run} is complete: nothing is left to do\n"
    assert "test accuracy" in result.stdout
    assert stats(run) == before


# ---------------------------------------------------------------------------------------------- more epochs


def test_more_epochs_go_on_from_the_end(run: Path) -> None:
    first = rows(run)
    result = resume(run, "train.epochs=4")
    assert result.exit_code == 0, result.stderr
    said = result.stderr.splitlines()
    assert said[0].startswith("resuming tiny from the end of epoch 2")
    assert said[1] == "note: train.epochs: 2 -> 4"
    assert said[2] == "note: the schedule `cosine` is over 4 epochs now: the rate of epoch 3 is 0.05"
    assert [row["epoch"] for row in rows(run)] == ["1", "2", "3", "4"]
    assert rows(run)[:2] == first
    assert float(rows(run)[2]["lr"]) == pytest.approx(0.05)
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["status"], summary["epochs"]) == ("completed", 4)
    assert RunDir(run).plan().config.train.epochs == 4
    assert "epochs: 4" in RunDir(run).resolved()
    assert resume(run).stderr == f"the run in {run} is complete: nothing is left to do\n"


def test_it_is_the_same_run_however_often_it_was_given_more(run: Path, tmp_path: Path) -> None:
    """With a rate that does not go by the number of epochs."""
    constant = "train.schedule={name: constant}"
    whole = trained(tmp_path / "whole", constant, "train.epochs=4")
    parts = trained(tmp_path / "parts", constant)
    for epochs in (3, 4):
        result = resume(parts, f"train.epochs={epochs}")
        assert result.exit_code == 0, result.stderr
        assert "the schedule" not in result.stderr
    assert rows(parts) == rows(whole)
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (newest(parts) / name).read_bytes() == (newest(whole) / name).read_bytes()


def test_fewer_epochs_than_are_done_are_refused(run: Path) -> None:
    before = stats(run)
    result = resume(run, "train.epochs=1")
    assert result.exit_code == 1
    assert "error[SPC630]: a run cannot go on with `train.epochs` changed: 2 epochs are begun" in result.stderr
    assert "the run is at the end of epoch 2" in result.stderr
    assert stats(run) == before


# ---------------------------------------------------------------------------------------------- other keys


def test_what_decides_no_number_may_change(run: Path) -> None:
    words = ["train.epochs=3", "train.checkpoint={every: 2 steps, keep_last: 7}", "budget.memory=1 GiB"]
    result = resume(run, *words)
    assert result.exit_code == 0, result.stderr
    assert "note: budget: absent -> {memory: 1073741824, on_exceed: error}" in result.stderr
    assert "note: train.checkpoint.every: 1 epoch -> 2 steps" in result.stderr
    assert [path.name for path in sorted((run / "checkpoints").iterdir())][-2:] == ["000000008", "000000009"]
    assert json.loads((run / "summary.json").read_text())["memory"]["budget_bytes"] == 1 << 30


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("data.batch_size=3", "it was 6, and would be 3"),
        ("train.optimizer.lr=0.2", "it was 0.1, and would be 0.2"),
        ("train.optimizer.nesterov=false", "it was true, and would be false"),
        ("train.seed=1", "it was 0, and would be 1"),
        ("train.schedule.name=constant", "it was cosine, and would be constant"),
        ("split.after=[a]", "it was [drop], and would be [a]"),
        ("name=other", "it was tiny, and would be other"),
    ],
)
def test_all_else_is_refused_with_both_values(word: str, says: str, run: Path) -> None:
    before = stats(run)
    result = resume(run, word, "train.epochs=3")
    assert result.exit_code == 1
    assert result.stderr.count("error[SPC630]") == 1
    assert f"a run cannot go on with `{word.split('=')[0]}` changed: that would be another run" in result.stderr
    assert says in result.stderr
    assert "what may be changed: train.epochs, train.early_stopping, train.checkpoint, train.log" in result.stderr
    assert stats(run) == before


def test_a_wrong_override_is_shown_where_it_stands(run: Path) -> None:
    result = resume(run, "train.epochs=many")
    assert result.exit_code == 1
    assert "train.epochs=many" in result.stderr
    result = resume(run, "budget.memory=1 KiB", "train.epochs=3")
    assert (result.exit_code, "error[SPC501]" in result.stderr) == (1, True)


@pytest.mark.parametrize("key", MAY_CHANGE)
def test_what_may_change_is_what_the_fingerprint_does_not_know(key: tuple[str, ...]) -> None:
    """But for the number of epochs and what may end them, which say when it is over."""
    import specc as package

    values: dict[str, Any] = {
        "train.epochs": 9, "train.checkpoint": {"every": "3 steps"}, "data.workers": 2, "data.root": "/elsewhere",
        "data.download": True, "budget": {"memory": "1 GiB"}, "train.early_stopping": {"patience": 3},
            "train.log": ["tensorboard"], "train.compile": True, "train.graphs": True, "devices": {"data_parallel": 2},
        "train.offload": ["optimizer"],
    }  # fmt: skip
    word = f"{dotted(key)}={json.dumps(values[dotted(key)])}"
    data = {"data": document()["data"] | {"validation": 6}}
    found = changed(json.dumps(document(**data)), "spec.yaml", [word])
    assert found.keys == [key]
    same = package.compile(found.before).fingerprint == package.compile(found.after).fingerprint
    assert same == (dotted(key) not in ("train.epochs", "train.early_stopping"))


def test_another_folder_of_the_data_is_remembered(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moved").mkdir()
    result = resume(run, "train.epochs=3", "data.root=moved")
    assert result.exit_code == 0, result.stderr
    assert RunDir(run).environment()["data_root"] == str(tmp_path / "moved")
    assert str(tmp_path / "moved") in RunDir(run).resolved()


# ---------------------------------------------------------------------------------------------- crashes in between


def test_a_crash_leaves_the_old_plan_or_the_new_one(run: Path, tmp_path: Path) -> None:
    target, seen, count = RunDir(run), set(), 0
    before = target.resolved()
    plan, env = target.plan(), target.environment()
    after = Change(before, plan, before.replace("epochs: 2", "epochs: 5"), (), env | {"more": 1})
    died = True
    while died:
        folder = shutil.copytree(run, tmp_path / str(count))
        died = dies(lambda folder=folder: after.write(RunDir(folder)), count)
        now = RunDir(folder)
        both = ("epochs: 5" in now.resolved(), "more" in now.environment())
        assert both in ((True, True), (False, False)), "and not one of each"
        assert now.plan() == plan
        seen.add(both[0])
        record.settle(folder)
        assert {path.name for path in folder.iterdir()} == {path.name for path in run.iterdir()}
        manifest.check(folder)
        count += 1
    assert seen == {True, False}
    assert count > 10


# ---------------------------------------------------------------------------------------------- damages


@pytest.mark.parametrize("name", ["plan.json", "spec.resolved.yaml", "manifest.json"])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_damaged_plan_is_never_gone_on_with(name: str, place: float, run: Path) -> None:
    content = bytearray((run / name).read_bytes())
    content[int(place * len(content))] ^= 1
    (run / name).write_bytes(content)
    result = resume(run, "train.epochs=3")
    assert result.exit_code == 3
    assert f" in {run} is damaged: " in result.stderr
    assert name in result.stderr


def test_what_a_run_can_do_without_is_a_warning(run: Path) -> None:
    (run / "env.json").write_text("{}")
    (run / "spec.yaml").unlink()
    result = resume(run, "train.epochs=3")
    assert result.exit_code == 0, result.stderr
    assert "warning: env.json has 2 bytes instead of " in result.stderr
    assert "warning: spec.yaml is missing; what it says is not used" in result.stderr


@pytest.mark.parametrize("name", ["plan.json", "metrics.csv", "summary.json", "spec.resolved.yaml", "run.lock"])
@pytest.mark.parametrize("kind", ["symbolic", "pipe"])
def test_what_is_no_file_of_its_own_is_refused_by_name(kind: str, name: str, run: Path, tmp_path: Path) -> None:
    """A run directory of somebody else's may hold links to files of one's own."""
    mine = tmp_path / "mine"
    mine.write_bytes((run / name).read_bytes() if (run / name).exists() else b"")
    content = mine.read_bytes()
    (run / name).unlink(missing_ok=True)
    if kind == "symbolic":
        (run / name).symlink_to(mine)
    else:
        os.mkfifo(run / name)
    result = resume(run, "train.epochs=3")
    assert result.exit_code == 3
    assert name in result.stderr
    assert mine.read_bytes() == content


def test_a_table_under_another_name_is_not_written_to(run: Path, tmp_path: Path) -> None:
    """A hard link looks like any file; the table is written anew, so that the other name keeps what it has."""
    mine = tmp_path / "mine"
    os.link(run / "metrics.csv", mine)
    content = mine.read_bytes()
    assert resume(run, "train.epochs=3").exit_code == 0
    assert len(rows(run)) == 3
    assert mine.read_bytes() == content


def test_every_file_has_the_mode_that_the_user_asks_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        run = trained(tmp_path / "run")
    finally:
        os.umask(before)
    modes = {oct(path.stat().st_mode & 0o777) for path in run.rglob("*") if path.is_file()}
    assert modes == {"0o640"}
    assert {oct(path.stat().st_mode & 0o777) for path in run.rglob("*") if path.is_dir()} == {"0o750"}

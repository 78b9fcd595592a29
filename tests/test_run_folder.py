"""`specc run` and `specc resume` with folders as people have them: finished, elsewhere, not writable, oddly named."""

from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file

from runtime.errors import Interrupted, RunError
from runtime.run.progress import Silence
from runtime.run.rundir import RunDir
from runtime.run.trainer import Trainer
from specc.cli import main

from .checkpoints import flip
from .documents import compiled, document
from .test_endings import files_of_at_most
from .test_resume import TINY, Watcher, plan_of, resumed, stopped, trainer_of


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec of two epochs of three steps, in a folder of its own where it is called."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = tmp_path / "here" / "tiny.yaml"
    path.write_text(json.dumps(document(**TINY, train={"epochs": 2})))
    return path


def specc(*words: object) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def run(spec: Path, *words: object) -> Result:
    return specc("run", spec, "--device", "cpu", *words)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------------------------------------- finished


def test_a_finished_run_is_not_resumed_over(spec: Path) -> None:
    assert run(spec, "--run-dir", "done").exit_code == 0
    before = contents(Path("done"))
    result = specc("resume", "done")
    assert result.exit_code == 0
    assert result.stderr == "the run in done is complete: nothing is left to do\n"
    assert "test accuracy" in result.stdout
    assert contents(Path("done")) == before


def test_a_run_that_lacks_only_its_summary_gets_it(spec: Path) -> None:
    assert run(spec, "--run-dir", "done").exit_code == 0
    path = Path("done", "summary.json")
    before = json.loads(path.read_text())
    path.write_text(path.read_text()[:20])
    result = specc("resume", "done", "--device", "cpu")
    assert result.exit_code == 0
    assert "resuming tiny from the end of epoch 2 on cpu" in result.stderr
    assert json.loads(path.read_text()) == before


@pytest.mark.parametrize("word", [b'"completed"', b'"accuracy": 0.', b'"steps": '])
def test_a_damaged_summary_is_made_anew(word: bytes, spec: Path) -> None:
    assert run(spec, "--run-dir", "done").exit_code == 0
    path = Path("done", "summary.json")
    before = path.read_bytes()
    flip(path, before.index(word) + len(word))
    result = specc("resume", "done", "--device", "cpu")
    assert result.exit_code == 0
    assert "warning: summary.json is damaged: " in result.stderr
    assert json.loads(path.read_bytes()) == json.loads(before)


def test_a_run_directory_that_is_no_text_is_damaged(spec: Path) -> None:
    assert run(spec, "--run-dir", "done").exit_code == 0
    for name in ("spec.resolved.yaml", "plan.json"):
        Path("done", name).write_bytes(b"\xff\xfe")
        result = specc("resume", "done", "--device", "cpu")
        assert result.exit_code == 3
        assert "damaged" in result.stderr


# ---------------------------------------------------------------------------------------------- places and names


@pytest.mark.parametrize("place", ["file/run", "/proc/no/run", "/dev/null/run"])
def test_a_place_that_cannot_be_written_ends_the_command(place: str, spec: Path) -> None:
    Path("file").touch()
    result = run(spec, "--run-dir", place)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"error: no run directory: cannot write {place}: ")
    assert "choose another place with `--run-dir DIR`" in result.stderr


def test_a_file_named_runs_ends_the_command(spec: Path) -> None:
    Path("runs").touch()
    result = run(spec)
    assert result.exit_code == 3
    assert result.stderr.startswith("error: no run directory: cannot write runs/tiny/")


@pytest.mark.parametrize("name", ["metrics.csv", "checkpoints"])
def test_what_is_left_of_a_run_is_not_added_to(name: str, spec: Path) -> None:
    Path("run", name).mkdir(parents=True)
    result = run(spec, "--run-dir", "run")
    assert result.exit_code == 3
    assert f"run holds what is left of a run: {name} without its manifest.json" in result.stderr
    assert [path.name for path in Path("run").iterdir()] == [name]


@pytest.mark.parametrize("name", ["[/x]", "[bold]x", ":smile:", "with space"])
def test_the_name_of_a_folder_is_no_markup(name: str, spec: Path) -> None:
    result = run(spec, "--run-dir", name)
    assert result.exit_code == 0, result.stderr
    assert f"results in {name}\n" in result.stderr
    assert f"results in {name}\n" in result.stdout


def test_what_to_type_next_can_be_typed(spec: Path) -> None:
    assert run(spec, "--run-dir", "with space").exit_code == 0
    assert "specc resume 'with space'" in run(spec, "--run-dir", "with space").stderr


def test_ctrl_c_before_the_first_step(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Trainer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_session", interrupted)
    result = run(spec, "--run-dir", "run")
    assert result.exit_code == 130
    assert "interrupted before the first step" in result.stderr
    assert "specc resume run" in result.stderr
    monkeypatch.undo()
    result = specc("resume", spec.parent / "run", "--device", "cpu")
    assert result.exit_code == 0
    assert "note: no checkpoint was saved yet: the run begins anew" in result.stderr


@pytest.mark.parametrize("name", ["out.safetensors", "file/out.safetensors"])
def test_an_export_that_does_not_fit_leaves_no_half(name: str, spec: Path) -> None:
    assert run(spec, "--run-dir", "run").exit_code == 0
    Path("file").touch()
    with files_of_at_most(600):
        result = specc("export", "run", "-o", name)
    assert result.exit_code == 3
    assert f"error: cannot write {name}: " in result.stderr
    assert ("File too large" in result.stderr) == (not name.startswith("file"))
    assert {path.name for path in Path().iterdir()} == {"run", "file", "tiny.yaml"}
    assert specc("export", "run", "-o", "out.safetensors").exit_code == 0
    assert load_file("out.safetensors")


# ---------------------------------------------------------------------------------------------- data


def images(root: Path, count: int = 8) -> None:
    """An image folder of two classes."""
    generator = np.random.default_rng(0)
    for half in ("train", "val"):
        for i in range(count):
            path = root / half / "ab"[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(256, size=(8, 8, 3), dtype=np.uint8)).save(path)


def on_images(batch_size: int = 4, workers: int = 0, **parts: Any) -> dict[str, Any]:
    layers = [*TINY["backbone"]["layers"][:-1], {"name": "head", "op": "linear", "out": 2}]
    data = {"dataset": "image_folder", "root": "pictures", "image_size": 8, "classes": 2}
    data |= {"batch_size": batch_size, "workers": workers}
    return TINY | {"data": data, "backbone": {"layers": layers}, "train": {"epochs": 2}} | parts


def trainer_in(folder: Path, **changes: Any) -> Trainer:
    plan = compiled(**on_images(**changes))
    run = RunDir.create(plan, "", "", folder)
    return Trainer(plan, torch.device("cpu"), run, Silence(), "text")


def test_a_run_is_resumed_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "there", "moved"):
        (tmp_path / name).mkdir()
    images(tmp_path / "here" / "pictures")
    monkeypatch.chdir(tmp_path / "here")
    trainer = stopped(trainer_in(tmp_path / "run"), 0, 0)
    monkeypatch.chdir(tmp_path / "there")
    again = resumed(trainer.plan, tmp_path / "run")
    assert again.notes == []
    assert len(again.train_data) == 2
    (tmp_path / "here" / "pictures").rename(tmp_path / "moved" / "pictures")
    monkeypatch.chdir(tmp_path / "moved")
    (note,) = resumed(trainer.plan, tmp_path / "run").notes
    assert note == f"the data are no longer in {tmp_path / 'here/pictures'}: read from {tmp_path / 'moved/pictures'}"


def test_the_plan_knows_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprints, documents = set(), set()
    for name in ("here", "there"):
        images(tmp_path / name / "pictures")
        monkeypatch.chdir(tmp_path / name)
        run = trainer_in(tmp_path / name / "run").run_dir
        fingerprints.add(run.plan().fingerprint)
        documents.add(run.read("plan.json"))
    assert len(fingerprints) == len(documents) == 1


def test_a_signal_to_the_whole_group_stops_between_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some clusters send SIGTERM: the workers that decode images get it too."""
    images(tmp_path / "pictures", 24)
    monkeypatch.chdir(tmp_path)
    trainer = trainer_in(tmp_path / "run", workers=1)
    heard, others = [], multiprocessing.active_children()

    def everybody(done: int) -> None:
        for worker in set(multiprocessing.active_children()) - set(others):
            subprocess.run(["kill", "-TERM", str(worker.pid)], check=True)  # torch knows those of a parent
            worker.join(3)
            heard.append(worker.exitcode)
        signal.raise_signal(signal.SIGTERM)

    trainer.progress = Watcher(everybody)
    with pytest.raises(Interrupted, match="checkpoint saved"):
        trainer.train()
    assert heard == [0]
    assert resumed(trainer.plan, tmp_path / "run").step == 1


def test_an_image_that_is_damaged_later_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path / "pictures")
    monkeypatch.chdir(tmp_path)
    trainer = trainer_in(tmp_path / "run")
    picture = tmp_path / "pictures" / "train" / "a" / "0.png"
    whole = picture.read_bytes()
    trainer.progress = Watcher(lambda done: picture.write_bytes(b"") and None if done == 2 else None)
    with pytest.raises(RunError, match=r"0\.png") as caught:
        trainer.train()
    stands, then = caught.value.help[-2:]
    assert stands == "the last checkpoint stands, of the end of epoch 1"
    assert then == f"then: specc resume {tmp_path / 'run'}"
    picture.write_bytes(whole)
    again = resumed(trainer.plan, tmp_path / "run")
    assert again.train()["status"] == "completed"


def test_a_batch_larger_than_a_folder_is_spoken_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path / "pictures", 6)
    monkeypatch.chdir(tmp_path)
    trainer = trainer_in(tmp_path / "run", batch_size=64)
    (note,) = trainer.notes
    assert note.startswith("a batch of 64 is larger than the training set of 6: every step takes all of it")
    summary = trainer.train()
    assert summary["images_per_second"] == pytest.approx(6 / summary["step_seconds_median"])


def test_a_batch_that_the_compiler_spoke_of_is_not_spoken_of_again(tmp_path: Path) -> None:
    data = TINY["data"] | {"batch_size": 64}
    assert trainer_of(compiled(**TINY | {"data": data}), tmp_path).notes == []


def test_a_home_that_is_nobodys_is_no_traceback(spec: Path) -> None:
    result = run(spec, "data.root=~nobody-of-this-name/data")
    assert result.exit_code == 3
    assert "'~nobody-of-this-name/data' is no path" in result.stderr


def test_a_run_of_an_older_run_directory_looks_where_the_spec_says(tmp_path: Path) -> None:
    plan = plan_of("SGD")
    (tmp_path / "env.json").write_text("[]")
    assert trainer_of(plan, tmp_path).notes == []

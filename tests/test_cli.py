"""The command line as people use it: exit codes, what goes to which stream, what is left on the disk."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
from pathlib import Path

import pytest
import torch

from runtime.run.checkpoint import newest

from .commands import ROOT, Result, command, specc, specc_apart, surroundings
from .shipped import FEW

QUICKSTART = ROOT / "specs" / "quickstart.yaml"
TINY = ("backbone.depth=8", "backbone.widths=[4, 4, 6, 8]", "split.blocks=3", "data.batch_size=256")


def run_tiny(folder: Path, *words: str, epochs: int = 2) -> Result:
    return specc("run", QUICKSTART, "--device", "cpu", "--run-dir", folder, *TINY, f"train.epochs={epochs}", *words,
                 cwd=folder.parent)  # fmt: skip


def line_of(path: Path, text: str) -> int:
    return next(i for i, line in enumerate(path.read_text().splitlines(), 1) if text in line)


# ---------------------------------------------------------------------------------------------- specs


def test_shipped_specs_are_valid(tmp_path: Path) -> None:
    result = specc("validate", *FEW, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [f"{path}: ok" for path in FEW]  # `test_recipes.py` has all
    assert result.stderr == ""


def test_all_mistakes_are_shown_with_their_places(tmp_path: Path) -> None:
    spec = tmp_path / "wrong.yaml"
    spec.write_text(QUICKSTART.read_text().replace("depth: 20", "depht: 20").replace("window: 2", "window: two"))
    result = specc("validate", spec.name, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert f"wrong.yaml:{line_of(spec, 'depht')}:3" in result.stderr
    assert f"wrong.yaml:{line_of(spec, 'window: two')}:13" in result.stderr
    assert "did you mean `depth`?" in result.stderr


def test_diagnostics_for_machines_are_one_document(tmp_path: Path) -> None:
    spec = tmp_path / "wrong.yaml"
    spec.write_text(QUICKSTART.read_text().replace("depth: 20", "depht: 20"))
    result = specc("validate", spec.name, "--format", "json", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == ""
    assert json.loads(result.stdout)["format_version"] == 1


@pytest.mark.parametrize("verb", ["validate", "plan", "run"])
def test_an_unreadable_file_is_a_wrong_command_line(verb: str, tmp_path: Path) -> None:
    result = specc(verb, "absent.yaml", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "absent.yaml" in result.stderr


def test_an_unknown_option_is_a_wrong_command_line(tmp_path: Path) -> None:
    result = specc_apart("plan", QUICKSTART, "--verbsoe", cwd=tmp_path)  # and the process says so
    assert result.returncode == 2
    assert "--verbsoe" in result.stderr


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_plan_over_budget_points_at_the_budget(verb: str, tmp_path: Path) -> None:
    spec = tmp_path / "tight.yaml"
    spec.write_text(QUICKSTART.read_text().replace("memory: 128 MiB", "memory: 1 MiB"))
    result = specc(verb, spec.name, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert "SPC501" in result.stderr
    assert f"tight.yaml:{line_of(spec, '1 MiB')}:11" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_the_plan_for_machines(tmp_path: Path) -> None:
    result = specc("plan", QUICKSTART, "--format", "json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    document = json.loads(result.stdout)
    assert document["format_version"] == 1
    assert len(document["plan_fingerprint"]) == 64
    assert [unit["blocks"] for unit in document["units"]] == [[0], [1], [2], [3], [0, 1], [1, 2], [2, 3]]
    assert all({"window", "parameters", "flops", "peak_bytes"} <= unit.keys() for unit in document["units"])
    memory = document["memory"]
    assert memory["budget_bytes"] == 128 * 2**20
    assert memory["predicted_peak_bytes"] == sum(memory["categories"].values())
    assert memory["predicted_peak_bytes"] == max(unit["peak_bytes"] for unit in document["units"])


def test_the_plan_for_people(tmp_path: Path) -> None:
    result = specc("plan", QUICKSTART, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert all(name in result.stdout for name in ("unit0.independent", "unit3.cascade", "predicted peak", "128 MiB"))


# ---------------------------------------------------------------------------------------------- what is not there


@pytest.mark.parametrize("words", [("--gpu", "0"), ("--device", "cuda:1")], ids=" ".join)
def test_a_missing_gpu_ends_the_run(words: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = specc("run", ROOT / "specs" / "man_svhn.yaml", *words, cwd=tmp_path)
    assert result.returncode == 3
    assert result.stdout == ""
    assert "CUDA" in result.stderr
    assert "--device cpu" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_missing_data_set_says_where_it_was_looked_for(tmp_path: Path) -> None:
    result = specc("run", ROOT / "specs" / "man_svhn.yaml", "--device", "cpu", cwd=tmp_path)
    assert result.returncode == 3
    assert result.stdout == ""
    assert "svhn" in result.stderr.lower()
    assert "data" in result.stderr
    assert "data.download=true" in result.stderr
    assert not list(tmp_path.iterdir()), "a run that cannot begin leaves nothing behind"


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path: Path) -> None:
    result = specc("resume", tmp_path, "--device", "cpu", cwd=tmp_path)
    assert result.returncode == 3
    assert f"{tmp_path} is not a run directory" in result.stderr


# ---------------------------------------------------------------------------------------------- runs

SUMMARY = {
    "format_version", "name", "status", "spec_sha256", "plan_fingerprint", "device", "devices", "epochs", "steps",
    "test", "cause", "validation", "units", "skipped_images", "memory", "step_seconds_median", "images_per_second",
    "best", "stopped_early", "blake2b", "hardware", "task", "seed", "batch_size", "parameters", "flops_per_image",
    "epochs_planned", "wall_seconds", "history",
}  # fmt: skip
MEMORY = {"budget_bytes", "predicted_peak_bytes", "measured_peak_bytes", "within_budget"}
FILES = {
    "spec.yaml", "spec.resolved.yaml", "plan.json", "env.json", "metrics.csv", "summary.json",
    "checkpoints/000000015/model.safetensors", "checkpoints/000000015/manifest.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, run_tiny(folder, epochs=3)


def test_a_run_leaves_its_directory(whole: tuple[Path, Result]) -> None:
    folder, result = whole
    assert result.returncode == 0, result.stderr
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written >= FILES
    assert not [name for name in written if name.endswith(".tmp")]
    assert (folder / "spec.yaml").read_text() == QUICKSTART.read_text()
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary.keys() == SUMMARY
    assert summary["memory"].keys() == MEMORY
    assert (summary["status"], summary["device"], summary["epochs"], summary["steps"]) == ("completed", "cpu", 3, 15)
    assert summary["test"]["accuracy"] == pytest.approx(float(rows[-1]["test_accuracy"]))
    assert summary["memory"]["measured_peak_bytes"] == pytest.approx(
        summary["memory"]["predicted_peak_bytes"], rel=0.05
    )
    plan = json.loads(specc("plan", folder / "spec.resolved.yaml", "--format", "json", cwd=folder).stdout)
    assert plan["plan_fingerprint"] == summary["plan_fingerprint"], "the resolved spec is the spec that ran"


def test_results_and_messages_go_to_their_streams(whole: tuple[Path, Result]) -> None:
    folder, result = whole
    assert "test accuracy" in result.stdout
    assert f"results in {folder}" in result.stdout
    assert all(word in result.stdout for word in ("predicted", "measured", "budget 128 MiB: within budget"))
    assert [line for line in result.stdout.splitlines() if line.startswith("epoch")] == []
    assert [line[:9] for line in result.stderr.splitlines()[1:]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]


def test_a_run_directory_is_not_overwritten(whole: tuple[Path, Result]) -> None:
    folder, _ = whole
    before = (folder / "summary.json").read_bytes()
    result = run_tiny(folder)
    assert result.returncode == 3
    assert f"specc resume {folder}" in result.stderr
    assert (folder / "summary.json").read_bytes() == before


def test_an_interrupted_run_is_resumed_bit_for_bit(whole: tuple[Path, Result], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ("run", QUICKSTART, "--device", "cpu", "--run-dir", folder, "--no-report", *TINY, "train.epochs=3")
    process = subprocess.Popen(
        command(*words), cwd=tmp_path, env=surroundings(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    assert any(line.startswith("epoch 1/3") for line in process.stderr), "a busy machine says before what it waits for"
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert "checkpoint saved" in rest
    assert f"specc resume {folder}" in rest
    assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"
    assert newest(folder).position.epoch < 3

    result = specc("resume", folder, "--device", "cpu", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads((folder / "summary.json").read_text())["status"] == "completed"
    for name in ("model", "optimizer"):
        file = Path("checkpoints", "000000015", f"{name}.safetensors")
        assert (folder / file).read_bytes() == (whole[0] / file).read_bytes()


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    wild = "train.optimizer={name: sgd, lr: 1.0e+30}"
    result = run_tiny(tmp_path / "run", wild, "train.schedule={name: constant}")
    assert result.returncode == 3
    assert "train.optimizer.lr" in result.stderr
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "failed"

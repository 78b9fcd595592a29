"""`specc compare --train`: every spec at every seed is trained once, whatever comes between, and held side by side."""

from __future__ import annotations

import csv
import io
import json
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from specc.comparing import crew
from specc.runs import read_run
from specc.runs.names import PLAN, SUMMARY

from .checkpoints import flip
from .commands import Result, specc
from .documents import Document, document
from .forked import Copied
from .processes import started, wait_for
from .test_resume import DATA, TINY

SEEDS = (0, 1, 2)
NOTHING = (sys.executable, "-c", "import sys; sys.exit('error: nothing is trained')")
# What trains a run, but for the report that it leaves, which takes as long again.
WITHOUT_A_REPORT = (sys.executable, "-P", "-c", """import runpy
from runtime.run import reporting
reporting.leave = lambda run: None
runpy.run_module("specc.commands.worker", run_name="__main__")""")  # fmt: skip
WORDS = ("a.yaml", "b.yaml", "--train", "--seeds", "0,1,2", "--device", "cpu")


def written(home: Path, name: str, **parts: Any) -> Path:
    path = home / f"{name}.yaml"
    path.write_text(json.dumps(document(**(TINY | {"name": name, "train": {"epochs": 1}} | parts))))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two specs at three seeds, one of them from the command line and none by a comparison."""
    home = tmp_path_factory.mktemp("comparison")
    whole: Document = {"split": {"blocks": 1}}
    for name, parts in (("a", whole), ("b", {})):
        written(home, name, **parts)
        for seed in SEEDS:
            words = ("run", f"{name}.yaml", "--device", "cpu", f"train.seed={seed}")
            assert specc(*words, cwd=home).returncode == 0
    return home


@pytest.fixture
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, where nothing can be trained any more."""
    monkeypatch.setattr(crew, "PROGRAM", NOTHING)
    return Path(shutil.copytree(trained, tmp_path / "home"))


def compare(home: Path, *words: str) -> Result:
    return specc("compare", *(words or WORDS), cwd=home)


def compared(home: Path, *words: str) -> Any:
    return json.loads(compare(home, *(words or WORDS), "--format", "json").stdout)


def run_of(home: Path, name: str, seed: int) -> Path:
    (found,) = (path.parent for path in (home / "runs" / name).glob("*/summary.json")
                if json.loads(path.read_text())["seed"] == seed)  # fmt: skip
    return found


# ---------------------------------------------------------------------------------------------- what is told


def test_what_is_done_is_compared_and_not_done_again(home: Path) -> None:
    result = compare(home, *WORDS, "--format", "json")
    assert result.returncode == 0, result.stderr
    first, second = json.loads(result.stdout)["rows"]
    assert (first["name"], second["name"]) == ("a", "b")
    for row in (first, second):
        said = [json.loads((run_of(home, row["name"], seed) / SUMMARY).read_text()) for seed in SEEDS]
        values = [each["test"]["accuracy"] for each in said]
        assert (row["runs"], row["completed"], row["seeds"], row["values"]) == (3, 3, [0, 1, 2], values)
        assert row["mean"] == pytest.approx(statistics.mean(values))
        assert row["standard_deviation"] == pytest.approx(statistics.stdev(values))
        assert row["measured_peak_bytes"] == max(each["memory"]["measured_peak_bytes"] for each in said)
        assert row["predicted_peak_bytes"] == said[0]["memory"]["predicted_peak_bytes"]
        assert row["step_seconds"] == pytest.approx(statistics.mean(each["step_seconds_median"] for each in said))
        assert row["wall_seconds"] == pytest.approx(statistics.mean(each["wall_seconds"] for each in said))
        own = [each["units"]["test"] for each in said]
        units = {name: statistics.mean(each[name] for each in own) for name in own[0]}
        assert row["units"] == pytest.approx(units)
    assert first["relative_flops"] == pytest.approx(1), "end to end is the measure"
    assert second["relative_flops"] > 1
    assert len(second["units"]) == 2


def test_people_see_means_and_spreads(home: Path) -> None:
    result = compare(home)
    head, first, second = (line.split("\t") for line in result.stdout.splitlines())
    assert head == ["spec", "runs", "test accuracy, %", "units, %", "predicted", "measured", "step", "total",
                    "extra FLOPs"]  # fmt: skip
    document = compared(home)["rows"]
    for cells, row in zip((first, second), document, strict=True):
        assert cells[:3] == [row["name"], "3", f"{100 * row['mean']:.2f} ± {100 * row['standard_deviation']:.2f}"]
        assert cells[6] == f"{row['step_seconds'] * 1e3:.1f} ms"
    assert first[3] == "–", "one unit is the network"
    assert second[3] == ", ".join(f"{100 * value:.1f}" for value in document[1]["units"].values())
    assert (first[8], second[8]) == ("0%", f"{document[1]['relative_flops'] - 1:+.0%}")


def test_one_seed_has_no_spread_and_a_spec_has_its_own(home: Path) -> None:
    (row,) = compared(home, "a.yaml", "--train")["rows"]
    assert (row["seeds"], row["standard_deviation"]) == ([0], None)
    assert "±" not in compare(home, "a.yaml", "--train").stdout


@pytest.mark.parametrize("words", [WORDS, ("a.yaml", "b.yaml")], ids=["trained", "predicted"])
def test_a_table_for_every_reader(words: tuple[str, ...], home: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(compare(home, *words, "--format", "csv").stdout)))
    assert [row["name"] for row in rows] == ["a", "b"]
    assert float(rows[0]["flops_per_image"]) == compared(home, *words)["rows"][0]["flops_per_image"]
    plain = [line.split("\t") for line in compare(home, *words).stdout.splitlines()]
    markdown = compare(home, *words, "--format", "markdown").stdout.splitlines()
    assert len(markdown) == len(plain) + 1
    latex = compare(home, *words, "--format", "latex").stdout
    assert latex.count(" & ") == len(plain) * (len(plain[0]) - 1)
    assert all(word in latex for word in (r"\toprule", r"\midrule", r"\bottomrule"))


def test_two_specs_of_one_name_are_told_apart(home: Path) -> None:
    shutil.copy(home / "b.yaml", home / "c.yaml")
    names_of = [row["name"] for row in compared(home, "b.yaml", "c.yaml", "--train")["rows"]]
    assert names_of == ["b (b.yaml)", "b (c.yaml)"]


# ---------------------------------------------------------------------------------------------- what is not done


def test_a_run_that_fails_loses_no_other(home: Path) -> None:
    shutil.rmtree(run_of(home, "b", 1))
    result = compare(home)
    assert result.returncode == 3
    _, first, second = (line.split("\t") for line in result.stdout.splitlines())
    assert (first[1], second[1]) == ("3", "2 of 3: 1 failed")
    assert "b seed 1: failed: nothing is trained" in result.stderr
    assert "error: 1 of 6 runs have no results" in result.stderr
    assert f"specc compare {' '.join(WORDS)}" in result.stderr.splitlines()[-1]
    found = compared(home)
    assert [row["completed"] for row in found["rows"]] == [3, 2]
    (lost,) = (run for run in found["runs"] if run["status"] != "completed")
    assert (lost["name"], lost["seed"], lost["cause"]) == ("b", 1, "nothing is trained")


def said_to_be(run: Path, **values: object) -> None:
    from .test_runs_as_data import resummed

    resummed(run, **values)


def test_a_failed_run_is_told_and_tried_again_once_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(home, "b", 1)
    said_to_be(run, status="failed", cause="the disk is full")
    result = compare(home)
    assert result.returncode == 3
    assert "b seed 1: failed: the disk is full" in result.stderr
    assert "begins" not in result.stderr
    assert "goes on after" not in result.stderr
    again = result.stderr.splitlines()[-1].partition("specc compare ")[2]
    assert again == f"{' '.join(WORDS)} --retry"
    words = run.parent.parent.parent / "words"
    writes = f"import sys; open({str(words)!r}, 'w').write(str(sys.argv[1:]))"
    monkeypatch.setattr(crew, "PROGRAM", (sys.executable, "-c", writes))
    compare(home, *shlex.split(again))
    assert words.read_text() == str(["resume", "--device", "cpu", "--", str(run.relative_to(home))])


def test_what_was_stopped_is_gone_on_with(home: Path) -> None:
    for status in ("interrupted", "killed"):
        run = run_of(home, "b", 1)
        said_to_be(run, status="interrupted")
        if status == "killed":
            (run / "run.lock").touch()
        result = compare(home)
        assert f"b seed 1: goes on after epoch 1, in {run.relative_to(home)}" in result.stderr
        assert result.returncode == 3


def test_a_damaged_run_is_named_and_made_anew_elsewhere(home: Path) -> None:
    run = run_of(home, "b", 1)
    flip(run / PLAN)
    result = compare(home)
    place = run.relative_to(home)
    assert f"note: {place}: plan.json is not as it was written: its checksum differs" in result.stderr
    assert "b seed 1: begins, in runs/b/seed1-" in result.stderr
    assert flip(run / PLAN) is None
    assert compare(home).returncode == 0, "nobody has touched it"


def test_a_run_that_was_changed_since_is_another_one(home: Path) -> None:
    """Of more epochs, for example: its plan is no longer the one that is compared."""
    run = run_of(home, "b", 1)
    assert specc("resume", run, "--device", "cpu", "train.epochs=2", cwd=home).returncode == 0
    assert "b seed 1: begins" in compare(home).stderr
    words = [*WORDS[:4], "1", *WORDS[5:], "--set", "train.epochs=2"]
    assert "b seed 1" not in compare(home, *words).stderr.replace("a seed 1", "")


def test_a_run_on_another_kind_of_device_is_not_the_one_that_is_asked_for(home: Path) -> None:
    said_to_be(run_of(home, "b", 1), device="cuda:0")
    assert "b seed 1: begins" in compare(home).stderr
    assert compare(home, *WORDS[:-2]).returncode == 0, "where nobody asks for one, any will do"


def test_times_of_different_machines_are_not_held_against_each_other_in_silence(home: Path) -> None:
    run = run_of(home, "b", 1)
    hardware = read_run(run).summary["hardware"]
    assert "machine" not in compare(home).stderr
    said_to_be(run, hardware=hardware | {"threads": 7})
    (line,) = (line for line in compare(home).stderr.splitlines() if "machine" in line)
    assert line.startswith("note: the runs were not all made on the same machine in the same way")
    assert f"7 of {hardware['cores']} cores" in line


# ---------------------------------------------------------------------------------------------- fairness


def test_specs_that_are_not_trained_alike_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "a", train={"epochs": 3, "seed": 1})
    written(tmp_path, "b", data=DATA | {"batch_size": 5, "workers": 1}, train={"epochs": 2, "seed": 2})
    predicted = compare(tmp_path, "a.yaml", "b.yaml")
    assert predicted.returncode == 0
    assert told(predicted) == ["data.batch_size"]
    monkeypatch.setattr(crew, "PROGRAM", NOTHING)
    assert told(compare(tmp_path, "a.yaml", "b.yaml", "--train")) == ["data.batch_size", "train.epochs", "train.seed"]
    seeded = compare(tmp_path, "a.yaml", "b.yaml", "--train", "--seeds", "0")
    assert told(seeded) == ["data.batch_size", "train.epochs"]
    assert all(place in seeded.stderr for place in ("--> b.yaml:1:", "::: a.yaml:1:")), seeded.stderr
    assert "for all of them the same: --set train.epochs=3" in seeded.stderr
    assert told(compare(tmp_path, "a.yaml", "a.yaml")) == []


def told(result: Result) -> list[str]:
    begins = "warning[SPC670]: `b` is compared with `a`"
    lines = (line for line in result.stderr.splitlines() if line.startswith(begins))
    return [line.split("`")[-2] for line in lines]


@pytest.mark.parametrize("words", [
    ("--seeds", "0"), ("--jobs", "2"), ("--retry",), ("--run-root", "x"), ("--train", "--run", "1"),
    ("--train", "--seeds", "0,x"), ("--train", "--seeds", "-1"), ("--train", "--seeds", ""), ("--train", "--jobs", "0"),
], ids=" ".join)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    written(tmp_path, "a")
    assert compare(tmp_path, "a.yaml", *words).returncode == 2


def test_a_wrong_spec_is_told_before_anything_is_trained(home: Path) -> None:
    (home / "b.yaml").write_text((home / "b.yaml").read_text().replace('"classes"', '"clases"'))
    shutil.rmtree(home / "runs")
    assert compare(home).returncode == 1
    assert not (home / "runs").exists()


# ---------------------------------------------------------------------------------------------- real processes


def copying() -> None:
    """What trains a run is a copy of the process that begins it."""
    crew.PROGRAM = (sys.executable, "-m", "specc.commands.worker")
    crew.subprocess = SimpleNamespace(Popen=Copied, PIPE=subprocess.PIPE)  # type: ignore[assignment]


def test_after_ctrl_c_the_same_words_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is begun by a Python of its own, as in life; what goes on with it needs none that is loaded anew."""
    epochs, tables = 60, Path("made", "a")
    monkeypatch.setattr(crew, "PROGRAM", WITHOUT_A_REPORT)
    written(tmp_path, "a", train={"epochs": epochs, "checkpoint": {"every": "5000 steps"}})
    monkeypatch.chdir(tmp_path)
    again = ["compare", "a.yaml", "--train", "--seeds", "3", "--run-root", "made", "--device", "cpu"]
    child = started(*again)
    wait_for(lambda: any(len(path.read_text().splitlines()) > 1 for path in tables.glob("*/metrics.csv")), child)
    child.kill(signal.SIGINT)
    result = child.wait()
    assert result.returncode == 130, result
    assert "stopping: a seed 3 finish their step and save" in result.stderr
    assert "error: interrupted; 0 of 1 runs are complete" in result.stderr
    assert result.stderr.splitlines()[-1] == f"  = help: continue with: specc {' '.join(again)}"
    (run,) = (path.parent for path in tables.glob("*/plan.json"))
    record = read_run(run)
    assert record.status == "interrupted"
    assert 0 < record.epochs_done < epochs
    result = started(*again, before=copying).wait()
    assert result.returncode == 0, result
    assert f"a seed 3: goes on after epoch {record.epochs_done}, in {run}" in result.stderr
    assert [line.split("\t")[:2] for line in result.stdout.splitlines()[1:]] == [["a", "1"]]
    after = read_run(run)
    assert [row["epoch"] for row in after.metrics] == list(range(1, epochs + 1))
    assert after.metrics[: record.epochs_done] == record.metrics
    assert after.env["command"][:2] == ["specc", "run"]

"""`specc runs` says what has become of every run in a folder, and how those go on that may."""

from __future__ import annotations

import csv
import io
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from runtime.run.lock import locked
from specc.language.schema import show_bytes
from specc.runs.names import ENVIRONMENT, PLAN, SUMMARY

from .checkpoints import flip
from .commands import Result, specc
from .test_resume import stopped
from .test_runs_as_data import leave_lock, resummed, trainer_in


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs that ended in all ways."""
    home = tmp_path_factory.mktemp("listed")
    (runs := home / "runs" / "tiny").mkdir(parents=True)
    trainer_in(runs / "completed").train()
    stopped(trainer_in(runs / "interrupted"), 1, 0)
    for name in ("failed", "killed", "damaged", "odd name"):
        shutil.copytree(runs / "interrupted", runs / name)
    resummed(runs / "failed", status="failed", cause="the disk is full")
    leave_lock(runs / "killed")
    flip(runs / "damaged" / PLAN)
    flip(runs / "odd name" / ENVIRONMENT)
    return home


def listed(home: Path, *words: str) -> Result:
    return specc("runs", *words, cwd=home)


def documents(home: Path, *words: str) -> dict[str, Any]:
    found = json.loads(listed(home, *words, "--format", "json").stdout)
    assert found["format_version"] == 1
    return {each["run_dir"]: each for each in found["runs"]}


def test_every_run_is_listed_with_what_has_become_of_it(made: Path) -> None:
    found = documents(made)
    status = {Path(path).name: each["status"] for path, each in found.items()}
    assert status == {name: name for name in status if name != "odd name"} | {"odd name": "interrupted"}
    whole, cut = found["runs/tiny/completed"], found["runs/tiny/interrupted"]
    summary = json.loads((made / whole["run_dir"] / SUMMARY).read_text())
    assert (whole["metric"], whole["on"], whole["value"]) == ("accuracy", "test", summary["test"]["accuracy"])
    assert (cut["metric"], cut["value"]) == ("accuracy", summary["history"][0]["test"]["accuracy"])
    assert (whole["epochs"], cut["epochs"], cut["epochs_planned"]) == (2, 1, 2)
    assert whole["measured_peak_bytes"] == summary["memory"]["measured_peak_bytes"]
    assert whole["name"] == "tiny"
    assert 0 <= whole["age_seconds"] < 10_000


def test_people_see_the_same_and_what_to_type(made: Path) -> None:
    result = listed(made)
    assert result.returncode == 0
    row = next(line for line in result.stdout.splitlines() if "completed" in line)
    peak = documents(made)["runs/tiny/completed"]["measured_peak_bytes"]
    assert all(word in row for word in ("tiny/completed", "test accuracy ", "%", "2/2", show_bytes(peak)))
    assert "runs/tiny/failed: failed: the disk is full" in result.stderr
    assert "runs/tiny/damaged: plan.json is not as it was written: its checksum differs" in result.stderr
    assert "runs/tiny/odd name: env.json is not as it was written: its checksum differs" in result.stderr
    commands = [line.strip() for line in result.stderr.splitlines() if line.startswith("  specc resume")]
    assert [shlex.split(line)[2] for line in commands] == [
        f"runs/tiny/{name}" for name in ("failed", "interrupted", "killed", "odd name")
    ]


def test_a_command_that_is_shown_goes_on_with_the_run(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "runs" / "tiny" / "killed", tmp_path / "runs" / "tiny" / "killed")
    (each,) = documents(tmp_path).values()
    assert specc(*shlex.split(each["resume"])[1:], "--device", "cpu", cwd=tmp_path).returncode == 0
    (each,) = documents(tmp_path).values()
    assert (each["status"], each["resume"], each["epochs"]) == ("completed", None, 2)


def test_who_trains_is_named(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "runs" / "tiny" / "interrupted", tmp_path / "runs" / "tiny" / "now")
    with locked(tmp_path / "runs" / "tiny" / "now"):
        result = listed(tmp_path)
        assert "runs/tiny/now: trained by process " in result.stderr
        assert "may go on" not in result.stderr
        assert documents(tmp_path)["runs/tiny/now"]["status"] == "running"


def test_a_pattern_and_a_folder_choose(made: Path) -> None:
    assert list(documents(made, "*ed", "--root", "runs/tiny")) == [
        f"runs/tiny/{name}" for name in ("completed", "damaged", "failed", "interrupted", "killed")
    ]
    assert list(documents(made, "tiny/c*")) == ["runs/tiny/completed"]


@pytest.mark.parametrize("form", ["human", "json", "csv", "markdown", "latex"])
def test_no_runs_are_no_error(form: str, tmp_path: Path) -> None:
    result = listed(tmp_path, "--format", form)
    assert (result.returncode, result.stderr) == (0, "no runs in runs\n")
    assert (result.stdout == "") == (form in ("human", "csv")) or result.stdout == "\n"


def test_a_table_for_every_reader(made: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(listed(made, "--format", "csv").stdout)))
    assert {row["run_dir"]: row["status"] for row in rows} == {
        path: each["status"] for path, each in documents(made).items()
    }
    assert float(rows[0]["value"]) == documents(made)["runs/tiny/completed"]["value"]
    markdown = listed(made, "--format", "markdown").stdout.splitlines()
    assert markdown[0] == "| run | status | score | epochs | peak | age |"
    assert len(markdown) == 2 + len(rows)
    latex = listed(made, "--format", "latex").stdout
    assert r"\begin{tabular}{llrrrr}" in latex
    assert r"\%" in latex

"""What plan and compare say of the time of a step, and `--device-profile`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from specc.cli import main
from specc.commands.devices import ProfileName
from specc.completion.arguments import words_of
from specc.profiles import find, save

from .documents import document

SHEET = find("rtx3090")
CPU = replace(SHEET, name="my-cpu", device="My CPU", kind="cpu", source="calibrated", date="2026-01-01")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(document()))
    return path


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def shown(*words: str | Path) -> Any:
    result = run(*words, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_without_a_profile_a_plan_says_in_one_line_how_to_come_by_one(spec: Path) -> None:
    text = run("plan", spec, "--device", "cpu").stdout
    (line,) = [line for line in text.splitlines() if "step time" in line]
    assert "specc doctor --calibrate --device cpu" in line
    assert "--device-profile" in line
    plan = shown("plan", spec, "--device", "cpu")
    assert plan["time"] is None
    assert {unit["seconds"] for unit in plan["units"]} == {None}


def test_what_was_measured_on_this_machine_is_taken_by_itself(spec: Path) -> None:
    save(CPU)
    time = shown("plan", spec, "--device", "cpu")["time"]
    assert (time["source"], time["device"]) == ("calibrated", "My CPU")
    assert "on My CPU (calibrated)" in run("plan", spec, "--device", "cpu").stdout
    assert shown("plan", spec, "--device", "cuda")["time"] is None, "that is another device"


def test_a_profile_is_for_a_device_that_is_not_here(spec: Path) -> None:
    """Its kind decides whose rules of memory are followed."""
    plan = shown("plan", spec, "--device-profile", "rtx3090")
    assert plan["memory"]["device"] == "cuda"
    assert plan["time"]["source"] == "data_sheet"
    assert plan["time"]["images_per_second"] == pytest.approx(6 / plan["time"]["step_seconds"])
    assert plan["time"]["step_seconds"] == pytest.approx(sum(plan["time"]["instructions"]))
    assert all(0 < unit["seconds"] < plan["time"]["step_seconds"] for unit in plan["units"])
    assert "NVIDIA GeForce RTX 3090 (data sheet)" in run("plan", spec, "--device-profile", "rtx3090").stdout


def test_the_profile_decides_nothing_of_the_plan(spec: Path) -> None:
    with_profile, without = shown("plan", spec, "--device-profile", "rtx3090"), shown("plan", spec, "--device", "cuda")
    assert with_profile["plan_fingerprint"] == without["plan_fingerprint"]
    assert with_profile["memory"]["predicted_peak_bytes"] == without["memory"]["predicted_peak_bytes"]


def test_a_file_is_a_profile_too(spec: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(asdict(CPU)))
    assert shown("plan", spec, "--device-profile", str(path))["time"]["device"] == "My CPU"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device-profile", "rtx3900"), "did you mean `rtx3090`?"),
        (("--device-profile", "./nowhere.json"), "cannot read the device profile"),
        (("--device-profile", "rtx3090", "--device", "cpu"), "is of a cuda device"),
    ],
    ids=["unknown", "no file", "another device"],
)
@pytest.mark.parametrize("command", ["plan", "compare"])
def test_what_is_no_profile_is_a_usage_error(command: str, words: tuple[str, ...], said: str, spec: Path) -> None:
    result = run(command, spec, *words)
    assert result.exit_code == click.UsageError.exit_code
    assert said in result.output.replace("\n", " ")


def test_a_file_that_is_damaged_is_told_without_a_traceback(spec: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.json"
    path.write_text('{"format_version": 1, "name": "x"}')
    result = run("plan", spec, "--device-profile", str(path))
    assert result.exit_code == click.UsageError.exit_code
    assert "no device profile is in" in result.output


def test_specs_are_compared_by_predicted_times(spec: Path) -> None:
    rows = shown("compare", spec, spec, "--device-profile", "rtx3090", "--set", "data.batch_size=12")["rows"]
    assert {row["time"]["source"] for row in rows} == {"data_sheet"}
    table = run("compare", spec, spec, "--device-profile", "rtx3090").stdout
    assert "images/s" in table
    assert "time ×" in table


def test_a_measured_time_takes_the_place_of_a_predicted_one(spec: Path) -> None:
    save(CPU)
    (row,) = shown("compare", spec, "--run", "1", "--device", "cpu")["rows"]
    assert row["time"]["source"] == "measured"
    assert row["time"]["step_seconds"] == row["step_seconds"]


def test_training_measures_and_predicts_no_times(spec: Path) -> None:
    result = run("compare", spec, "--train", "--device-profile", "rtx3090")
    assert result.exit_code == click.UsageError.exit_code
    assert "--train measures" in result.output


def test_a_shell_completes_the_names_of_profiles() -> None:
    save(CPU)
    parameter = next(p for p in main.commands["plan"].params if isinstance(p.type, ProfileName))
    words = words_of("plan", parameter)
    assert words is not None
    assert {"my-cpu", "rtx3090"} <= {word.value for word in words("")}
    assert [word.value for word in words("my")] == ["my-cpu"]

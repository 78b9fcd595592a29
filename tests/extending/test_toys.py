"""A package from outside adds one of each thing, and all commands work with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from specc.cli import main

from .processes import TOYS, Said, commands

FITTING = "45.05KiB"
SPEC = Path(__file__).parent / "toys.yaml"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Said]:
    """What the commands say, all of one process."""
    run = tmp_path_factory.mktemp("runs") / "toys"
    lines = {
        "validate": ["validate", SPEC, "data.workers=2"],
        "misspelt": [
            "validate",
            SPEC,
            "backbone.family=lader",
            "train.optimizer.name=sign_momentun",
            "auxiliary.bottlenek={}",
            "task=two_guess",
            "data={dataset: strips, batch_size: 8, augment: [swaped]}",
            "train.instructions=[{kind: sofen}]",
            "train.log=[notebok]",
            "split={fit: {allow: [chanels]}}",
        ],
        "wrong": [
            "validate",
            SPEC,
            "backbone.rugs=3",
            "train.optimizer.lr=-1",
            "auxiliary.bottleneck.channel=2",
            "data.augment=[swapped: {p: 2}]",
        ],
        "layers": ["validate", SPEC, "backbone={layers: [{name: a, op: softplus, bet: 3}, {name: b, op: sofplus}]}"],
        "schema": ["schema"],
        "plan": ["plan", SPEC, "--verify", "--trace", "--device", "cpu", "--format", "json"],
        "fit": [
            "fit",
            SPEC,
            "--budget",
            FITTING,
            "--for",
            "blocks",
            "--allow",
            "split,channels",
            "--device",
            "cpu",
            "--format",
            "json",
        ],
        "run": ["run", SPEC, "--device", "cpu", "--run-dir", run, "--no-report"],
        "doctor": ["doctor"],
        "again": ["validate", run / "spec.resolved.yaml"],
    }
    return dict(zip(lines, commands([TOYS], *lines.values()), strict=True)) | {
        "folder": Said(0, str(run)),
        "notebook": Said(0, (run / "logs" / "notebook").read_text()),
        "summary": Said(0, (run / "summary.json").read_text()),
    }


def test_a_spec_names_what_a_package_adds(said: dict[str, Said]) -> None:
    assert (said["validate"].code, said["validate"].output) == (0, f"{SPEC}: ok\n")


NAMES = ("ladder", "sign_momentum", "bottleneck", "two_guesses", "stripes", "swapped", "channels", "soften", "notebook")


@pytest.mark.parametrize("name", NAMES)
def test_a_misspelt_name_of_a_package_answers_with_the_right_one(said: dict[str, Said], name: str) -> None:
    assert f"did you mean `{name}`?" in said["misspelt"].output


def test_keys_and_values_of_a_package_are_explained_as_those_of_specc(said: dict[str, Said]) -> None:
    assert "unknown key `rugs` in `backbone`" in said["wrong"].output
    assert "valid: family, rungs, width" in said["wrong"].output
    assert "`train.optimizer.lr` must be greater than 0" in said["wrong"].output
    assert "valid: weight, patches, label_smoothing, channels" in said["wrong"].output
    assert "`data.augment[0].swapped.p` must be at most 1" in said["wrong"].output
    assert "did you mean `beta`?" in said["layers"].output
    assert "did you mean `softplus`?" in said["layers"].output


def test_editors_know_what_a_package_adds(said: dict[str, Said]) -> None:
    schema = said["schema"].stdout
    for name in (*NAMES, "softplus"):
        assert f'"{name}"' in schema


def test_the_plan_is_verified_and_predicted_to_the_byte(said: dict[str, Said]) -> None:
    memory = json.loads(said["plan"].stdout)["memory"]
    assert said["plan"].code == 0
    assert memory["predicted_peak_bytes"] == memory["traced_peak_bytes"]


def test_a_budget_is_fitted(said: dict[str, Said]) -> None:
    rows = json.loads(said["fit"].stdout)["rows"]
    assert {tuple(row["knobs"]) for row in rows if row["fits"]} == {("auxiliary.bottleneck.channels: 1",)}


def test_it_trains_and_is_measured_as_predicted(said: dict[str, Said]) -> None:
    assert said["run"].code == 0
    summary = json.loads(said["summary"].output)
    assert summary["status"] == "completed"
    assert list(summary["test"]) == ["among_two", "accuracy", "loss"]
    assert summary["memory"]["predicted_peak_bytes"] == summary["memory"]["measured_peak_bytes"]


def test_a_log_is_told_of_every_epoch_and_of_the_end(said: dict[str, Said]) -> None:
    first, second, end = said["notebook"].output.splitlines()
    assert first.startswith("1 lr=0.02 ")
    assert second.startswith("2 lr=0.02 ")
    assert " test/among_two=" in second
    assert " train/unit0.independent.classification=" in second
    assert end == "completed"


def test_a_unit_answers_with_a_metric_of_the_package(said: dict[str, Said]) -> None:
    units = json.loads(said["summary"].output)["units"]["test"]
    assert [name.rpartition(".")[0] for name in units] == ["unit0.independent", "unit1.independent"]
    assert len({name.rpartition(".")[2] for name in units}) == 1


def test_a_run_names_the_package_that_is_missing_when_it_goes_on(said: dict[str, Said]) -> None:
    result = CliRunner().invoke(main, ["resume", said["folder"].output, "--device", "cpu"])
    assert result.exit_code == 3
    assert "needs `specc-toys` 1.0, not installed here" in result.output


def test_the_doctor_lists_what_packages_add(said: dict[str, Said]) -> None:
    assert "specc-toys 1.0: op softplus, family ladder, head bottleneck" in said["doctor"].output


def test_the_resolved_spec_is_read_again(said: dict[str, Said]) -> None:
    assert said["again"].code == 0

"""What a report says would have fitted as well: exact training, as `specc fit --rivals` has it, and for how long."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from specc.cli import main
from specc.fit.verdict import way
from specc.pipeline import compile_spec
from specc.plan import Plan
from specc.plan.flops import step_flops
from specc.profiles import find, folder, save
from specc.report import alternatives
from specc.report.alternatives import Lab
from specc.report.answers import answers
from specc.report.clock import Clock
from specc.report.parts import Panel, Table
from specc.report.sections import SECTIONS, Case
from specc.report.subject import Subject, subjects
from specc.report.words import seconds
from specc.spec.load import loads
from specc.timing import step_time

from .left_behind import left_behind, peak_of
from .test_rivals import SPEC

SMALL = SPEC | {"data": SPEC["data"] | {"samples": 96}, "train": {"epochs": 3}}
CPU = replace(find("rtx3090"), name="my-cpu", device="My CPU", kind="cpu", source="calibrated", date="2026-01-01")
SECTION = {name: make for name, _, make in SECTIONS}
QUESTION = "Would end-to-end training have been better?"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own, so that no device is known."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))


def local(share: float | None) -> Plan:
    """Local learning under a part of what end-to-end training takes."""
    if share is None:
        return plan_of()
    whole = plan_of(split={"blocks": 1}, auxiliary={}).memory.peak_bytes
    return plan_of(budget={"memory": int(share * whole), "on_exceed": "warn"})


def plan_of(**changes: Any) -> Plan:
    """Of a network of a few layers, on a CPU."""
    return compile_spec(loads(json.dumps(SMALL | changes)).on("cpu"))[0]


def case_of(tmp_path: Path, plan: Plan, **summary: Any) -> Case:
    return Case.of(subject_of(tmp_path, plan, **summary), 0)


def subject_of(tmp_path: Path, plan: Plan, **summary: Any) -> Subject:
    (found,) = subjects([left_behind(tmp_path / "run", plan, **summary)])
    return found


def panel_of(case: Case) -> Panel:
    return SECTION["end-to-end"](case)


def table_of(case: Case) -> Table:
    ((_, table),) = panel_of(case).tables
    return table


def answer_of(case: Case) -> str:
    return next(each.text for each in case.answers if each.question == QUESTION)


@pytest.mark.parametrize("profiled", [False, True], ids=["by FLOPs", "timed"])
def test_the_rows_are_those_of_fit_rivals_for_the_same_spec(profiled: bool, tmp_path: Path) -> None:
    if profiled:
        save(CPU)
    case = case_of(tmp_path, local(0.55))
    assert case.lab is not None
    resolved, budget = case.subject.record.path / "spec.resolved.yaml", case.lab.yardstick
    words = ["fit", str(resolved), "--rivals", "--methods", "dgl", "--budget", str(budget), "--format", "json"]
    said = json.loads(CliRunner().invoke(main, [*words, "--device", "cpu"]).stdout)
    theirs = [
        (row["name"], row["predicted_peak_bytes"], row["step_seconds"], row["fits"], row["changes"])
        for row in said["rows"] if not row["local"]
    ]  # fmt: skip
    ours = [(e.name, e.candidate.peak, e.candidate.seconds, e.fits, list(e.changes)) for e in case.lab.exact]
    assert ours == theirs
    assert len(ours) >= 4
    assert (theirs[0][2] is not None) is profiled
    rows = table_of(case).rows
    assert [row[0] for row in rows] == ["this run", *map(way, case.lab.exact)]
    assert [row[-1] == "yes" for row in rows[1:]] == [each.fits for each in case.lab.exact]


def test_each_command_trains_what_it_stands_for_and_nothing_forbids_it(tmp_path: Path) -> None:
    plan = local(0.55)
    case = case_of(tmp_path, plan)
    assert case.lab is not None
    *commands, search = panel_of(case).commands
    assert len(commands) == len(case.lab.exact)
    for command, each in zip(commands, case.lab.exact, strict=True):
        name, line = command.split("\n")
        overrides = shlex.split(line)[3:]
        assert name == f"# {way(each)}"
        assert peak_of(plan, overrides) == each.candidate.peak
        assert ("budget=null" in overrides) is not each.fits
    assert shlex.split(search.split("\n")[1])[:2] == ["specc", "fit"]


def test_without_a_profile_times_are_the_runs_own_scaled_by_flops_and_said_to_be_that(tmp_path: Path) -> None:
    plan = local(0.55)
    case = case_of(tmp_path, plan, step_seconds_median=0.012)
    assert case.lab is not None
    table = table_of(case)
    assert table.columns[3:5] == ("step", "whole training")
    steps = 4 * plan.config.train.epochs  # of a run that says it has taken 24 in 6 epochs
    assert table.rows[0][3:5] == ("12 ms", seconds(0.012 * steps))
    for row, each in zip(table.rows[1:], case.lab.exact, strict=True):
        step = 0.012 * each.candidate.found.flops / step_flops(plan)
        assert row[3:5] == (f"≈ {seconds(step)}", f"≈ {seconds(step * steps)}")
    source = "estimated from this run's 12 ms a step by FLOPs"
    assert any(source in text for text in panel_of(case).texts)
    assert source in answer_of(case)


def test_the_whole_training_is_all_steps_of_all_epochs(tmp_path: Path) -> None:
    plan = plan_of(data=SMALL["data"] | {"samples": 100}, train={"epochs": 7})
    unfinished = Clock(subject_of(tmp_path, plan, status="interrupted", epochs=2), Lab(plan))
    assert unfinished.steps == plan.data.train_size // 32 * 7
    (tmp_path / "b").mkdir()
    ended = subject_of(tmp_path / "b", plan, epochs=2, steps=10, stopped_early="enough")
    assert Clock(ended, Lab(plan)).steps == 35


def test_with_a_profile_they_are_predicted_and_stand_beside_what_was_measured(tmp_path: Path) -> None:
    save(CPU)
    plan = local(0.55)
    case = case_of(tmp_path, plan, step_seconds_median=0.012)
    assert case.lab is not None
    own = step_time(plan, CPU).seconds
    rows = table_of(case).rows
    assert rows[0][3] == seconds(own)
    assert [row[3] for row in rows[1:]] == [seconds(each.candidate.seconds or 0) for each in case.lab.exact]
    assert any("predicted for My CPU (calibrated)" in text for text in panel_of(case).texts)
    assert "≈" not in str(rows)
    assert any(f"Predicted were {seconds(own)}" in text for text in SECTION["time"](case).texts)
    assert "by FLOPs" not in answer_of(case)


def test_a_profile_that_cannot_be_read_is_as_if_there_were_none(tmp_path: Path) -> None:
    folder().mkdir(parents=True)
    (folder() / "my-cpu.json").write_bytes(b"\xff{")
    (folder() / "other.json").write_text('{"format_version": 1}')
    case = case_of(tmp_path, local(0.55))
    assert any("by FLOPs" in text for text in panel_of(case).texts)
    assert not any("Predicted were" in text for text in SECTION["time"](case).texts)


def test_without_any_time_flops_say_what_each_costs(tmp_path: Path) -> None:
    case = case_of(tmp_path, local(0.55), step_seconds_median=0.0)
    assert table_of(case).columns[3] == "FLOPs"
    assert all(re.fullmatch(r"\d+\.\d\d ×", row[3]) for row in table_of(case).rows)
    assert any("there are no times" in text for text in panel_of(case).texts)


def test_the_fastest_that_fits_is_marked_and_answers(tmp_path: Path) -> None:
    case = case_of(tmp_path, local(0.55))
    assert case.lab is not None
    assert case.lab.rivals is not None
    best = case.lab.best
    assert best is case.lab.rivals.chosen
    assert best is not None
    table = table_of(case)
    assert table.marked is not None
    assert table.rows[table.marked][0] == way(best)
    assert way(best).removeprefix("end-to-end training ") in answer_of(case)


def test_what_fits_the_budget_of_a_run_that_keeps_it_is_suggested(tmp_path: Path) -> None:
    case = case_of(tmp_path, plan_of(budget={"memory": plan_of().memory.peak_bytes}))
    assert case.lab is not None
    assert case.lab.best is not None
    assert f"Compare with {way(case.lab.best)}" in [each.title for each in case.next_]


def test_without_a_budget_the_yardstick_is_what_the_run_takes(tmp_path: Path) -> None:
    plan = local(None)
    case = case_of(tmp_path, plan)
    assert case.lab is not None
    assert case.lab.rivals is not None
    assert case.lab.rivals.budget == plan.memory.peak_bytes
    assert table_of(case).columns[-1].startswith("fits in what this run takes")
    assert f"--budget {plan.memory.peak_bytes}" in panel_of(case).commands[-1]
    assert "budget=null" not in str(panel_of(case).commands)


def test_where_nothing_fits_the_lowest_is_named(tmp_path: Path) -> None:
    case = case_of(tmp_path, local(0.02))
    assert case.lab is not None
    assert case.lab.best is None
    assert "over the budget" in answer_of(case)
    assert table_of(case).marked is None


def test_end_to_end_training_is_told_what_else_would_have_fitted_but_not_itself(tmp_path: Path) -> None:
    plan = plan_of(split={"blocks": 1}, auxiliary={})
    case = case_of(tmp_path, plan)
    assert case.lab is not None
    assert "was trained as a whole" in answer_of(case)
    assert "Which unit learns least?" not in [each.question for each in case.answers]
    assert all(each.candidate.config.train != plan.config.train for each in case.lab.exact)
    sliced = plan_of(split={"blocks": 1}, auxiliary={}, train={"micro_batches": 2})
    (tmp_path / "b").mkdir()
    other = case_of(tmp_path / "b", sliced)
    assert other.lab is not None
    names = [each.name for each in other.lab.exact]
    assert "e2e" in names
    assert "e2e_2_micro_batches" not in names
    assert table_of(other).rows[0][1] == "nothing: it is end-to-end training"
    for command, each in zip(panel_of(other).commands, other.lab.exact, strict=False):
        assert peak_of(sliced, shlex.split(command.split("\n")[1])[3:]) == each.candidate.peak


def test_of_a_very_large_network_only_what_is_quick_is_compared_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alternatives, "MOST_COMPARED", 3)
    case = case_of(tmp_path, local(0.55))
    assert case.lab is not None
    assert [each.name for each in case.lab.exact] == ["e2e"]
    assert any("not looked for" in text for text in panel_of(case).texts)
    assert "specc fit" in panel_of(case).commands[-1]
    (said,) = [each for each in answers(case.subject, case.lab, []) if each.question == QUESTION]
    assert said.short == "Not as it is"

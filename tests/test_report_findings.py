"""What a report concludes: from the data of a run, by rules that each can be told wrong."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from specc.plan import Plan
from specc.report import findings
from specc.report.alternatives import Lab
from specc.report.answers import answers
from specc.report.comparing import beside, differences
from specc.report.learning import confusion, depth, metric_curves
from specc.report.page import page_of
from specc.report.subject import Subject, subjects
from specc.report.suggestions import Suggestion, suggestions
from specc.report.taking import times
from specc.spec.load import loads

from .documents import HPFF, MAN, compiled
from .left_behind import left_behind, measured_of, peak_of, row_of

TIGHT = {"memory": "64 KiB", "on_exceed": "warn"}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compiled(**HPFF, **MAN, budget={"memory": "64 MiB"})


def subject_of(folder: Path, plan: Plan, **parts: Any) -> Subject:
    return subjects([left_behind(folder / "run", plan, **parts)])[0]


def advice(subject: Subject) -> list[Suggestion]:
    return suggestions(subject, Lab(subject.plan) if subject.plan else None)


def titles(subject: Subject) -> list[str]:
    return [each.title for each in advice(subject)]


def changed(plan: Plan, change: Callable[[dict[str, float], int], Mapping[str, float]], epochs: int = 6) -> list[Any]:
    """The rows of a run with something else in them."""
    rows = (row_of(plan, epoch, epochs) for epoch in range(1, epochs + 1))
    return [row | change(row, epoch) for epoch, row in enumerate(rows, 1)]


# ------------------------------------------------------------------------------------------------ which unit, and where


def test_the_unit_that_learns_least_adds_least_to_the_one_before_it_in_its_level(plan: Plan, tmp_path: Path) -> None:
    """And is not the one that knows least, which is the first."""
    known = {"unit0.independent": 0.5, "unit1.independent": 0.6, "unit2.independent": 0.7, "unit3.independent": 0.71,
             "unit1.cascade": 0.65, "unit2.cascade": 0.75, "unit3.cascade": 0.8}  # fmt: skip
    rows = changed(plan, lambda row, epoch: {f"test_{unit}.accuracy": value for unit, value in known.items()})
    found = findings.least(subject_of(tmp_path, plan, rows=rows))
    assert found is not None
    assert (found.name, found.before, round(found.gain, 6)) == ("unit3.independent", "unit2.independent", 0.01)


def test_a_first_unit_that_knows_no_more_than_chance_learns_least(plan: Plan, tmp_path: Path) -> None:
    def first(row: dict[str, float], epoch: int) -> dict[str, float]:
        known = {name: 0.9 + 0.01 * place for place, name in enumerate(row) if name.startswith("test_unit")}
        return known | {"test_unit0.independent.accuracy": 0.26, "test_unit1.cascade.accuracy": 0.5}

    subject = subject_of(tmp_path, plan, rows=changed(plan, first))
    found = findings.least(subject)
    assert found is not None
    assert (found.name, found.before, round(found.gain, 3)) == ("unit0.independent", None, 0.01)
    assert findings.gained(found, subject) == "1.0 percentage points more than chance"


def test_the_peak_is_named_by_block_or_unit_as_predicted_and_as_measured(plan: Plan, tmp_path: Path) -> None:
    measured = measured_of(plan)
    other = next(place for place, i in enumerate(plan.instructions) if i.kind == "forward")
    measured["step"]["peak_bytes"][other] = 2 * plan.memory.peak_bytes
    found = findings.peak(subject_of(tmp_path, plan, measured=measured))
    assert found is not None
    assert str(found.instruction) == str(plan.instructions[plan.memory.peak_instruction])
    assert str(found.measured) == str(plan.instructions[other])
    assert findings.place(plan, plan.instructions[other])[0] == "block 0"
    head = next(i for i in plan.instructions if i.kind == "head")
    assert findings.place(plan, head)[0].startswith("unit unit0")


def test_seconds_are_summed_by_kind(plan: Plan, tmp_path: Path) -> None:
    figure = times(subject_of(tmp_path, plan, measured=measured_of(plan)), "time")
    assert figure is not None
    rows = {row[0]: row[1:] for row in figure.table.rows}
    heads = sum(i.kind == "head" for i in plan.instructions)
    assert rows["local heads: forward, loss, backward"][:2] == (str(heads), f"{heads} ms")
    assert sum(float(row[1].removesuffix(" ms")) for row in rows.values()) == len(plan.instructions) + 1


def test_what_was_measured_of_another_plan_is_not_of_this_one(plan: Plan, tmp_path: Path) -> None:
    measured = measured_of(plan)
    measured["step"]["plan_fingerprint"] = "0" * 64
    assert times(subject_of(tmp_path, plan, measured=measured), "time") is None


def test_many_classes_are_told_by_the_pairs_most_often_confused(plan: Plan, tmp_path: Path) -> None:
    told = {"on": "test", "epochs": 1, "kind": "class", "classes": 40,
            "told": [[i, i, 5] for i in range(40)] + [[7, 9, 4], [3, 2, 5]]}  # fmt: skip
    figure = confusion(subject_of(tmp_path, plan, measured={"told": told, "step": None}), "confusion")
    assert figure is not None
    assert figure.table.rows == (("3 → 2", "5", "10"), ("7 → 9", "4", "9"))


def test_labels_are_told_by_what_was_found_of_each(plan: Plan, tmp_path: Path) -> None:
    told = {"on": "test", "epochs": 1, "kind": "multi_label", "labels": [[1, 4, 2], [0, 0, 0]]}
    figure = confusion(subject_of(tmp_path, plan, measured={"told": told, "step": None}), "confusion")
    assert figure is not None
    assert figure.table.rows == (("0", "2", "4", "1", "50 %", "25 %"), ("1", "0", "0", "0", "–", "–"))


def test_curves_and_depth_have_a_row_for_every_epoch_and_every_unit(plan: Plan, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, plan)
    curves, deep = metric_curves(subject, "curves"), depth(subject, "depth")
    assert curves is not None
    assert deep is not None
    assert [row[0] for row in curves.table.rows] == [str(epoch) for epoch in range(1, 7)]
    assert [row[0] for row in deep.table.rows] == [
        f"unit{k}.{level}" for level, first in (("independent", 0), ("cascade", 1)) for k in range(first, 4)
    ]


# ------------------------------------------------------------------------------------------------ what to change next


def test_over_budget_the_cheapest_changes_come_first_and_fit(tmp_path: Path) -> None:
    plan = compiled(budget={"memory": "64 MiB"}, split={"after": ["stage2.0"]})
    budget = plan.memory.peak_bytes - 1000
    memory = {"budget_bytes": budget, "predicted_peak_bytes": plan.memory.peak_bytes,
              "measured_peak_bytes": plan.memory.peak_bytes, "within_budget": False}  # fmt: skip
    subject = subject_of(tmp_path, plan, status="failed", memory=memory)
    found = [each for each in advice(subject) if each.title.startswith("Take less memory")]
    assert found
    for each in found:
        assert peak_of(plan, shlex.split(each.command)[3:]) <= budget
    assert "Go on with the training" not in titles(subject)  # it would only fail again
    assert answers(subject, None, [])[1].short == "No"


def test_a_run_that_was_stopped_is_gone_on_with_and_one_that_diverged_is_not(plan: Plan, tmp_path: Path) -> None:
    stopped = subject_of(tmp_path, plan, status="interrupted", epochs=3)
    assert advice(stopped)[0].command == f"specc resume {stopped.record.path}"
    cause = "the loss `classification` of `unit0.independent` is nan in epoch 2, step 3"
    (tmp_path / "b").mkdir()
    lower = advice(subject_of(tmp_path / "b", plan, status="failed", cause=cause))
    assert lower[0].command.endswith(f"train.optimizer.lr={plan.config.train.optimizer.lr / 10:.3g}")
    assert "Go on with the training" not in [each.title for each in lower]


@pytest.mark.parametrize(
    ("values", "still"),
    [
        ([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.84], True),
        ([0.2, 0.5, 0.7, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8], False),
        ([0.2, 0.5, 0.7, 0.8, 0.8, 0.8, 0.7, 0.9, 0.72], False),  # noise
        ([0.2, 0.9], False),
    ],
    ids=["rising", "flat", "noisy", "short"],
)
def test_who_still_learns_is_trained_for_longer(values: list[float], still: bool, plan: Plan, tmp_path: Path) -> None:
    rows = changed(plan, lambda row, epoch: {"test_accuracy": values[epoch - 1], "test_loss": 1.0}, len(values))
    subject = subject_of(tmp_path, plan, rows=rows)
    assert (findings.still_learning(subject) is not None) is still
    assert ("Train for longer" in titles(subject)) is still


@pytest.mark.parametrize(
    ("change", "by_heart"),
    [
        (lambda row, epoch: {"test_loss": abs(epoch - 3) + 1.0}, True),
        (lambda row, epoch: {"train_accuracy": row["test_accuracy"] + 0.2}, True),
        (lambda row, epoch: {}, False),
    ],
    ids=["its loss rises", "it knows its images", "neither"],
)
def test_learning_by_heart_is_noticed(change: Any, by_heart: bool, plan: Plan, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, plan, rows=changed(plan, change))
    assert ("Do something against learning by heart" in titles(subject)) is by_heart


def test_a_block_that_adds_nothing_is_joined_with_the_one_before(plan: Plan, tmp_path: Path) -> None:
    def idle(row: dict[str, float], epoch: int) -> dict[str, float]:
        known = {name: 0.5 + 0.05 * int(name[9]) for name in row if name.startswith("test_unit")}
        return known | {"test_unit3.independent.accuracy": known["test_unit2.independent.accuracy"]}

    subject = subject_of(tmp_path, plan, rows=changed(plan, idle))
    found = next(each for each in advice(subject) if each.title == "Join block 3 with block 2")
    spec = shlex.split(found.command)[3]
    assert spec == "split={after: [stage1.0, stage2.0]}"
    assert peak_of(plan, [spec])


def test_a_budget_that_is_far_from_full_has_room_for_fewer_blocks_and_larger_batches(
    plan: Plan, tmp_path: Path
) -> None:
    found = {each.title: each for each in advice(subject_of(tmp_path, plan))}
    fewer, larger = found["Cut into 2 blocks instead of 4"], found["Batches of 24 images instead of 6"]
    assert peak_of(plan, shlex.split(fewer.command)[3:]) <= 64 << 20
    assert peak_of(plan, shlex.split(larger.command)[3:]) <= 64 << 20


def test_who_waits_for_images_is_told_so_and_who_has_no_budget_too(tmp_path: Path) -> None:
    subject = subject_of(tmp_path, compiled(), rows=changed(compiled(), lambda row, epoch: {"seconds": 4.0}))
    assert findings.waiting(subject) == pytest.approx(1 - 4 * 0.4 / 4.0)
    assert {"Make images ready in processes of their own", "Say what a step may take"} <= set(titles(subject))


# ------------------------------------------------------------------------------------------------ whatever is left


@pytest.mark.parametrize("name", ["plan.json", "summary.json", "metrics.csv", "measured.json", "env.json", "spec.yaml"])
@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_what_is_missing_or_damaged_is_a_remark_and_all_else_is_shown(
    name: str, damage: str, plan: Plan, tmp_path: Path
) -> None:
    folder = left_behind(tmp_path / "run", plan, measured=measured_of(plan))
    if damage == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(b"\xff" + (folder / name).read_bytes()[3:])
    page = page_of(subjects([folder]))
    loose = damage == "gone" and name in ("summary.json", "metrics.csv", "measured.json")  # of a run that goes on
    assert any(name in remark for _, remarks in page.remarks for remark in remarks) is not loose
    assert page.sections
    assert page.answers[0][1]


@pytest.mark.parametrize(
    "told",
    [
        {"on": "test", "epochs": 1, "kind": "class", "classes": 4, "told": [[9, 0, 1]]},
        {"on": "test", "epochs": 1, "kind": "class", "classes": 10**9, "told": []},
        {"on": "test", "epochs": 1, "kind": "class", "classes": 4, "told": [[0, 0, -1]]},
        [],
    ],
    ids=["a class that is none", "too many", "less than nothing", "no mapping"],
)
def test_counts_that_nobody_counted_are_damage(told: Any, plan: Plan, tmp_path: Path) -> None:
    subject = subject_of(tmp_path, plan, measured={"told": told, "step": None})
    assert subject.measured.told is None
    assert "measured.json is damaged" in subject.remarks[-1]


# ------------------------------------------------------------------------------------------------ several runs


def test_several_runs_begin_with_the_keys_in_which_they_differ(plan: Plan, tmp_path: Path) -> None:
    other = compiled(**HPFF, budget={"memory": "64 MiB"}, train={"seed": 1})
    runs = subjects([left_behind(tmp_path / "a", plan), left_behind(tmp_path / "b", other)])
    table = differences(runs)
    assert table is not None
    assert table.columns == ("key", "tiny (a)", "tiny (b)")
    found = {row[0]: row[1:] for row in table.rows}
    assert found["train.seed"] == ("0", "1")
    assert found["ema_links.0.momentum"] == ("0.9", "–")
    assert {name.partition(".")[0] for name in found} == {"train", "ema_links"}
    figures = beside(runs)
    assert figures is not None
    assert ("accuracy, test", "80.00 %", "80.00 %") in figures.rows
    names = [figure.name for figure in page_of(runs).figures]
    assert len(names) == len(set(names))


def test_runs_of_one_name_in_folders_of_one_name_are_told_apart(plan: Plan, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    folders = [left_behind(tmp_path / name / "run", plan) for name in ("a", "b")]
    assert [each.label for each in subjects(folders)] == ["tiny (run) #1", "tiny (run) #2"]


def test_a_resolved_spec_is_one(plan: Plan, tmp_path: Path) -> None:
    """What the commands of a report begin with."""
    subject = subject_of(tmp_path, plan)
    assert loads(subject.record.resolved).config.name == plan.name

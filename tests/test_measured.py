"""What a run keeps for its report beside its figures: what was told of every class, and what its instructions take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from runtime.errors import Interrupted
from runtime.run.judging import judge
from runtime.run.rundir import RunDir
from runtime.run.told import Told
from runtime.run.trained import open_trained
from runtime.run.watching import TIMED, InstructionClock
from specc.plan import Plan
from specc.runs import manifest
from specc.tasks.segmentation import IGNORED

from .documents import MAN, Document, compiled
from .test_resume import TINY, stopped, trainer_of

HELD = TINY["data"] | {"validation": 6, "samples": 26}
LONG: Document = {"epochs": 8}  # of three steps: more than are metered and timed


def plan_of(**parts: Any) -> Plan:
    return compiled(**TINY | parts)


def trained(plan: Plan, folder: Path) -> Path:
    trainer = trainer_of(plan, folder)
    trainer.run_dir.begin(plan, "", "", None)
    trainer.train()
    return folder


def measured(folder: Path) -> dict[str, Any]:
    return manifest.unsealed(json.loads((folder / "measured.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(plan_of(train=LONG, **MAN), tmp_path_factory.mktemp("long") / "run")


def test_what_was_told_of_every_class_is_what_an_evaluation_says(run: Path) -> None:
    told, said = measured(run)["told"], judge(open_trained(run, "last", "cpu", None), None, None)
    right = {is_: count for is_, as_, count in told["told"] if is_ == as_}
    there = [sum(count for is_, _, count in told["told"] if is_ == number) for number in range(told["classes"])]
    assert there == [row["samples"] for row in said["classes"]]
    assert sum(right.values()) / sum(there) == pytest.approx(said["metrics"]["accuracy"])
    assert (told["on"], told["epochs"], told["kind"]) == ("test", 8, "class")


def test_the_test_set_comes_before_the_validation_set_and_that_is_called_so(tmp_path: Path) -> None:
    plan = plan_of(data=HELD, train={"epochs": 1})
    assert measured(trained(plan, tmp_path / "whole"))["told"]["on"] == "test"
    with pytest.raises(Interrupted):
        stopped(trainer_of(plan_of(data=HELD, train={"epochs": 2}), tmp_path / "part"), 1, 0).train()
    told = measured(tmp_path / "part")["told"]
    assert (told["on"], sum(count for *_, count in told["told"])) == ("validation", 6)


def test_pixels_that_do_not_count_are_told_to_be_nothing() -> None:
    told = Told("map")
    told.add(torch.eye(2).view(1, 2, 1, 2), torch.tensor([[[0, IGNORED]]]))
    assert told.document() == {"kind": "map", "classes": 2, "told": [[0, 0, 1]]}


def test_a_label_is_counted_by_itself_where_a_sample_has_several() -> None:
    told = Told("multi_label")
    for _ in range(2):
        told.add(torch.tensor([[1.0, 1.0, -1.0]]), torch.tensor([[1.0, 0.0, 1.0]]))
    assert told.document() == {"kind": "multi_label", "labels": [[2, 2, 2], [0, 2, 0], [0, 0, 2]]}


def test_what_has_no_classes_has_no_confusion() -> None:
    told = Told("vector")
    told.add(torch.zeros(2), torch.zeros(2))
    assert told.document() is None


def test_every_instruction_has_its_time_and_its_memory(run: Path) -> None:
    step, plan = measured(run)["step"], RunDir(run).plan()
    assert len(step["seconds"]) == len(step["peak_bytes"]) == len(plan.instructions)
    assert (step["timed_steps"], step["device"]) == (TIMED, "cpu")
    assert all(seconds > 0 for seconds in step["seconds"])


def test_the_measured_memory_follows_the_predicted_one(run: Path) -> None:
    """Instruction by instruction: it falls again where what the peak was made of is gone."""
    plan = RunDir(run).plan()
    pairs = zip(measured(run)["step"]["peak_bytes"], (moment.bytes for moment in plan.memory.timeline), strict=True)
    assert max(abs(found - said) for found, said in pairs) < 0.05 * plan.memory.peak_bytes
    assert max(measured(run)["step"]["peak_bytes"]) == RunDir(run).summary()["memory"]["measured_peak_bytes"]


def test_a_clock_stops_listening_when_it_has_heard_enough(tmp_path: Path) -> None:
    trainer = trainer_of(plan_of(train=LONG), tmp_path / "run")
    heard: list[str] = []
    trainer.session.executor.observer = lambda each: heard.append(each.kind)
    trainer.train()
    assert len(trainer.instructions.steps) == TIMED < trainer.taken
    assert heard.count("head") == trainer.taken * sum(i.kind == "head" for i in trainer.plan.instructions)


def test_a_device_that_died_tells_no_times() -> None:
    clock = InstructionClock(torch.device("cuda"))

    class Dead:
        def elapsed_time(self, other: Dead) -> float:
            raise RuntimeError("device-side assert")

    clock._marks = [[Dead(), Dead()]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "synchronize", lambda device: None)
        assert clock.medians() == []


def test_a_process_that_measures_nothing_keeps_what_was_measured_before(run: Path, tmp_path: Path) -> None:
    """Stopped in its second epoch, and gone on with for one step: what was told is still of the first epoch's end."""
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        stopped(trainer_of(plan_of(train=LONG), folder), 1, 1).train()
    before = measured(folder)
    again = trainer_of(plan_of(train=LONG), folder)
    again.resume()
    with pytest.raises(Interrupted):
        stopped(again, 1, 2).train()
    after = measured(folder)
    assert before["told"] == after["told"]
    assert before["told"]["epochs"] == 1
    assert len(again.instructions.steps) == 0  # one step, which was metered
    assert after["step"]["seconds"] == before["step"]["seconds"]
    assert len(after["step"]["peak_bytes"]) == len(again.plan.instructions)


@pytest.mark.parametrize("told", [{"epochs": 5}, [{"epochs": 0}]], ids=["later", "no mapping"])
def test_what_was_told_after_the_checkpoint_is_not_of_the_run_that_goes_on_from_it(told: Any, tmp_path: Path) -> None:
    trainer = trainer_of(plan_of(train=LONG), tmp_path / "run")
    of_another = {"plan_fingerprint": "another", "device": "cpu", "seconds": [1]}
    trainer.measured = {"told": told, "step": of_another}
    with pytest.raises(Interrupted):
        stopped(trainer, 0, 0).train()
    found = measured(tmp_path / "run")
    assert found["told"] is None
    assert found["step"]["plan_fingerprint"] == trainer.plan.fingerprint
    assert "seconds" not in found["step"]

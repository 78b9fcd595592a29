"""What a trainer decides on several ranks it decides for all of them: when to stop, what is best, what went wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from runtime.errors import RunError
from runtime.run.progress import Silence
from runtime.run.ranks import present
from runtime.run.rundir import RunDir
from runtime.run.spread import spread_of
from runtime.run.trainer import Trainer
from specc.plan import Plan

from .documents import Document, document, spec_of
from .ranks import in_ranks
from .test_ranks_run import DATA, PLAIN, assert_near, rows

LINKED: Document = {"split": {"after": ["r", "s"]}, "ema_links": [{"from": "next", "momentum": 0.5, "bias": "none"}]}
FEW: Document = DATA | {
    "samples": 34,
    "validation": 12,
    "batch_size": 5,
}  # evaluated in fives, and two in the end: fewer than copies
CHOOSY: Document = {
    "epochs": 6, "evaluate_units": True, "optimizer": {"name": "sgd", "lr": 0.5, "momentum": 0.9},
    "early_stopping": {"patience": 1, "metric": "loss"}, "weight_average": {"decay": 0.8},
    "checkpoint": {"keep_best": {"metric": "loss"}},
}  # fmt: skip


def plan_of(parts: Document, devices: Document) -> Plan:
    """As a run on processors has it."""
    import specc

    return specc.compile(spec_of(document(**PLAIN | parts, devices=devices)).on("cpu"))


class Heard(Silence):
    """Keeps what somebody who watches is told of the losses."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []

    def step_done(self, step: int, losses: Mapping[str, Tensor | float] | None) -> None:
        self.losses.append({name: float(loss) for name, loss in (losses or {}).items()})


def begun(folder: Path, parts: Document, devices: Document, progress: Silence, *, resumed: bool = False) -> Trainer:
    """A run in every rank."""
    plan, team = plan_of(parts, devices), present()
    if not resumed and team.first:
        RunDir.create(plan, "", json.dumps(document(**PLAIN | parts)), folder)
    team.by_first(lambda: None)
    trainer = Trainer(plan, torch.device("cpu"), RunDir(folder), progress, "", team)
    if resumed:
        trainer.resume()
    return trainer


def trained(rank: int, folder: Path, parts: Document, devices: Document, resumed: bool = False) -> dict[str, Any]:
    """A run to its end: its summary, and what was told of the losses."""
    progress = Heard()
    return begun(folder, parts, devices, progress, resumed=resumed).train() | {"heard": progress.losses}


THREE, STAGES, BOTH = {"data_parallel": 3}, {"block_parallel": 2}, {"data_parallel": 2, "block_parallel": 2}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The run on one device."""
    folder = tmp_path_factory.mktemp("one") / "run"
    return folder, trained(0, folder, {"data": FEW, "train": CHOOSY}, {})


@pytest.mark.parametrize(("devices", "by"), [(THREE, 1e-4), (STAGES, 0.0)], ids=["copies", "stages"])
def test_when_to_stop_and_what_is_best_is_decided_as_on_one_device(
    devices: Document, by: float, one: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    count = devices.get("data_parallel", 1) * devices.get("block_parallel", 1)
    found, *others = in_ranks(trained, count, tmp_path, {"data": FEW, "train": CHOOSY}, devices)
    folder, wanted = one
    assert all(other.keys() == {"heard"} for other in others), "one rank sums up"
    assert wanted["stopped_early"]
    assert wanted["epochs"] < 6
    assert [found[key] for key in ("epochs", "steps")] == [wanted[key] for key in ("epochs", "steps")]
    assert (found["best"]["epoch"], found["best"]["checkpoint"]) == (
        wanted["best"]["epoch"],
        wanted["best"]["checkpoint"],
    )
    assert found["test"] == pytest.approx(wanted["test"], abs=by)
    assert found["units"]["test"] == pytest.approx(wanted["units"]["test"], abs=by)
    assert_near(tmp_path, folder, by)
    ranks = found["devices"]["ranks"]  # gloo's thread may hold a message that was waited for a moment longer
    assert [each["measured_peak_bytes"] for each in ranks] == pytest.approx(
        [each["predicted_peak_bytes"] for each in ranks], rel=0.02
    )
    nearest = max(range(count), key=lambda rank: ranks[rank]["measured_peak_bytes"])
    assert found["devices"]["nearest_to_budget"] == nearest


def test_the_first_rank_shows_the_losses_of_all_units_some_steps_late(tmp_path: Path) -> None:
    found, *_ = in_ranks(trained, 4, tmp_path / "four", {}, BOTH)
    wanted = trained(0, tmp_path / "one", {}, {})["heard"]
    assert len(wanted) == len(found["heard"]) == 8
    of_steps = [
        next(place for place, theirs in enumerate(wanted) if list(mine) == list(theirs) and near(mine, theirs))
        for mine in found["heard"]
        if mine
    ]
    assert len(of_steps) >= 4
    assert of_steps == sorted(of_steps)
    assert all(heard < step for step, heard in enumerate(of_steps, 8 - len(of_steps)))
    assert of_steps[-1] >= 4, "a rank may be two steps ahead of the others, and shows what it has heard by then"


def near(mine: Mapping[str, float], theirs: Mapping[str, float]) -> bool:
    return all(abs(mine[name] - theirs[name]) < 1e-5 for name in mine)


UNIT: Document = {"auxiliary": {"classifier": {"layers": "0c2f", "hidden": 8, "weight": [1.0, 1.0, 1e30]}}}


def diverging(rank: int, folder: Path) -> tuple[str, str]:
    """What each rank says of a unit of the second stage that leaves all bounds."""
    trainer = begun(folder, UNIT, {"block_parallel": 2, "after": ["s"]}, Silence())
    try:
        trainer.train()
    except RunError as error:
        return "itself", str(error)
    except RuntimeError as error:
        return "the other", trainer.team.lost(error) or ""
    finally:
        dist.destroy_process_group()  # as a rank does that ends
    return "", ""


def test_a_loss_that_is_no_number_on_one_rank_ends_all_and_names_it(tmp_path: Path) -> None:
    first, second = in_ranks(diverging, 2, tmp_path)
    assert second[0] == "itself"
    assert second[1].startswith("rank 1: the loss `classification` of `unit2")
    assert first[0] == "the other"
    assert "another rank has ended" in first[1]
    summary = RunDir(tmp_path).summary()
    assert summary["status"] == "failed"
    assert "another rank has ended" in summary["cause"]


class Failing(Silence):
    """Ends the run where its second epoch begins."""

    def epoch_begins(self, epoch: int, steps: int) -> None:
        if epoch == 1:
            raise RunError("no more")


APART: Document = {"block_parallel": 2, "mode": "decoupled", "staleness": 2}


def failing(rank: int, folder: Path) -> None:
    with pytest.raises(RunError, match="no more"):
        begun(folder, LINKED, APART, Failing()).train()


def test_decoupled_stages_go_on_from_a_checkpoint_as_if_they_had_never_stopped(tmp_path: Path) -> None:
    whole, *_ = in_ranks(trained, 2, tmp_path / "whole", LINKED, APART)
    in_ranks(failing, 2, tmp_path / "parts")
    parts, *_ = in_ranks(trained, 2, tmp_path / "parts", LINKED, APART, True)
    assert_near(tmp_path / "parts", tmp_path / "whole", 0.0)
    assert (parts["status"], parts["test"]) == ("completed", whole["test"])
    trained(0, tmp_path / "one", LINKED, {})
    late, plain = (rows(tmp_path / name) for name in ("whole", "one"))
    assert [list(row) for row in late] == [list(row) for row in plain]
    assert late != plain, "averages of weights that are some steps old"


def spread(rank: int) -> Any:
    return spread_of(plan_of({}, APART), present(), torch.device("cpu"))


def test_a_run_directory_says_how_a_run_is_spread(tmp_path: Path) -> None:
    found, other = in_ranks(spread, 2)
    assert found == other
    assert found["hosts"][0] == found["hosts"][1] != ""
    del found["hosts"]
    assert found == {
        "ranks": 2, "data_parallel": 1, "block_parallel": 2, "mode": "decoupled", "shard": False,
        "stages": [0, 2], "backend": "gloo",
    }  # fmt: skip
    plan = plan_of({}, {})
    RunDir(tmp_path).begin(plan, "", "", spread=found)
    assert RunDir(tmp_path).environment()["devices"] == found
    assert spread_of(plan, present(), torch.device("cpu")) is None

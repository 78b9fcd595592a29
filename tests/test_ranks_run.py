"""A training on several ranks is the training on one device: its rows, its checkpoints, and how it is stopped."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.data import Loader
from runtime.data.opening import open_data
from runtime.errors import BudgetExceeded, Interrupted, RunError
from runtime.run import checkpoint, storing
from runtime.run.progress import Silence
from runtime.run.ranks import present
from runtime.run.rundir import RunDir
from runtime.run.trainer import Trainer, step_seed
from specc.plan import Layout, Plan

from .documents import Document, compiled, document
from .ranks import in_ranks

LAYERS: list[Document] = [
    {"name": "a", "op": "conv", "out": 4, "k": 3, "pad": 1}, {"name": "r", "op": "relu"},
    {"name": "b", "op": "conv", "out": 4, "k": 3, "pad": 1}, {"name": "s", "op": "relu"},
    {"name": "c", "op": "conv", "out": 6, "k": 3, "pad": 1, "stride": 2}, {"name": "t", "op": "relu"},
    {"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 4},
]  # fmt: skip
DATA: Document = {
    "dataset": "synthetic", "image_size": 8, "channels": 1, "classes": 4, "samples": 23, "batch_size": 5,
    "augment": [{"horizontal_flip": {}}, {"mixup": {"alpha": 1.0}}],
}  # fmt: skip
PLAIN: Document = {
    "data": DATA, "backbone": {"layers": LAYERS}, "split": {"after": ["r", "s", "t"]},
    "auxiliary": {"classifier": {"layers": "0c2f", "hidden": 8}},
    "train": {"epochs": 2, "evaluate_units": True, "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}},
}  # fmt: skip
LINKED: Document = {
    "backbone": {"layers": [each | ({"bias": True} if each["op"] == "conv" else {}) for each in LAYERS]},
    "split": {"after": ["r", "s"]},
    "ema_links": [{"from": "next", "momentum": 0.9, "bias": "branch"}],
}  # fmt: skip
FEW: dict[str, Document] = {
    "one": {}, "copies": {"data_parallel": 2}, "stages": {"block_parallel": 2},
    "both": {"data_parallel": 2, "block_parallel": 2}, "four": {"block_parallel": 4},
    "shards": {"data_parallel": 2, "shard": True},
    "shards of stages": {"data_parallel": 2, "block_parallel": 2, "shard": True},
}  # fmt: skip


def plan_of(layout: str, **parts: Any) -> Plan:
    return compiled(**PLAIN | parts, devices=FEW[layout])


def begun(folder: Path, layout: str, parts: Document, resumed: bool, progress: Silence) -> Trainer:
    """A run in every rank, from its beginning or from where it stands."""
    plan, team = plan_of(layout, **parts), present()
    plan = plan if team.first else Plan.from_json(plan.to_json())  # the others are told it, as in every run
    if not resumed and team.first:
        RunDir.create(plan, "", json.dumps(document(**PLAIN | parts)), folder)
    team.by_first(lambda: None)
    trainer = Trainer(plan, torch.device("cpu"), RunDir(folder), progress, "", team)
    if resumed:
        trainer.resume()
    return trainer


def trained(rank: int, folder: Path, layout: str, parts: Document, resumed: bool = False) -> dict[str, Any]:
    """In every rank: a run from its beginning, or from where it stands, to its end."""
    return begun(folder, layout, parts, resumed, Silence()).train()


def finished(folder: Path, layout: str, **parts: Any) -> dict[str, Any]:
    """The summary of a run in a layout."""
    count = compiled(**PLAIN | parts, devices=FEW[layout]).config.devices.count
    if count == 1:
        return trained(0, folder, layout, parts)
    summary, *others = in_ranks(trained, count, folder, layout, parts)
    assert others == [{}] * (count - 1), "one rank speaks"
    return summary


def saved(folder: Path) -> dict[str, Tensor]:
    """All tensors of the newest checkpoint."""
    path = checkpoint.newest(folder).path
    files = [file for file in path.iterdir() if file.suffix == ".safetensors"]
    return {f"{file.stem}/{k}": v for file in files for k, v in checkpoint.read_tensors(path, file.name).items()}


def rows(folder: Path) -> list[dict[str, str]]:
    found = list(csv.DictReader(io.StringIO((folder / "metrics.csv").read_text())))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in found]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one") / "run"
    finished(folder, "one")
    return folder


def assert_near(folder: Path, other: Path, by: float) -> None:
    assert [list(row) for row in rows(folder)] == [list(row) for row in rows(other)], "the same columns"
    for mine, theirs in zip(rows(folder), rows(other), strict=True):
        for name in mine:
            assert abs(float(mine[name]) - float(theirs[name])) <= by, name
    mine, theirs = saved(folder), saved(other)
    assert set(mine) == set(theirs)
    for name in mine:
        assert mine[name].dtype == theirs[name].dtype, name
        torch.testing.assert_close(mine[name], theirs[name], rtol=0, atol=by, msg=name)


@pytest.mark.parametrize(("layout", "by"), [("stages", 0.0), ("copies", 1e-5), ("both", 1e-5)])
def test_a_run_on_several_ranks_is_the_run_on_one(layout: str, by: float, one: Path, tmp_path: Path) -> None:
    summary = finished(tmp_path, layout)
    assert_near(tmp_path, one, by)
    assert len(summary["devices"]["ranks"]) == len({id(r) for r in summary["devices"]["ranks"]})
    assert all(each["measured_peak_bytes"] > 0 for each in summary["devices"]["ranks"])
    assert summary["test"] == pytest.approx(RunDir(one).summary()["test"], abs=by)


def test_weights_are_lent_to_ranks_that_were_told_the_plan(tmp_path: Path) -> None:
    """A kernel and its bias in one message: in the order of those who read the plan, or of those who made it."""
    finished(tmp_path / "one", "one", **LINKED)
    finished(tmp_path / "stages", "stages", **LINKED)
    assert_near(tmp_path / "stages", tmp_path / "one", 0.0)


class Asking(Silence):
    """Sends its process a signal after a step."""

    def __init__(self, number: int) -> None:
        self.number: int | None = number

    def step_done(self, step: int, losses: Any) -> None:
        if self.number:
            os.kill(os.getpid(), self.number)
        self.number = None


def asked_to_stop(
    rank: int, folder: Path, layout: str, resumed: bool, number: int, parts: Document | None = None
) -> tuple[str, str]:
    """A run whose last rank alone hears a signal: what every rank says, and where it stands."""
    asked = rank + 1 == plan_of(layout).config.devices.count
    trainer = begun(folder, layout, parts or {}, resumed, Asking(number) if asked else Silence())
    with pytest.raises(Interrupted) as stopped:
        trainer.train()
    return str(stopped.value), str(trainer.saved)


def test_a_checkpoint_of_one_layout_goes_on_in_any_other(one: Path, tmp_path: Path) -> None:
    """Some steps of each, in the middle of an epoch or of its evaluation."""
    found = in_ranks(asked_to_stop, 2, tmp_path, "copies", False, signal.SIGTERM)
    assert found[0] == found[1]
    assert found[0][0] == "interrupted in epoch 1; checkpoint saved"
    assert found[0][1] == "epoch 1, step 2", "the others hear of it a step later"
    assert asked_to_stop(0, tmp_path, "one", True, signal.SIGINT)[1] == "epoch 1, step 3"
    assert len(set(in_ranks(asked_to_stop, 4, tmp_path, "both", True, signal.SIGINT))) == 1
    summary, *_ = in_ranks(trained, 4, tmp_path, "four", {}, True)
    assert summary["status"] == "completed"
    assert (summary["devices"]["block_parallel"], summary["devices"]["stages"]) == (4, [0, 1, 2, 3])
    assert_near(tmp_path, one, 1e-5)


def without_room(rank: int, folder: Path) -> str:
    """A run whose first rank finds the disk full in the middle of its second checkpoint."""
    trainer, written = begun(folder, "copies", {}, False, Silence()), []

    def full(path: Path, content: bytes) -> None:
        written.append(path.name)
        if len(written) > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        create(path, content)

    create, storing.files.create = storing.files.create, full
    with pytest.raises(RunError) as ended:
        trainer.train()
    assert rank == 0 or not written
    return str(ended.value)


def test_a_full_disk_ends_all_ranks_in_words(tmp_path: Path) -> None:
    first, second = in_ranks(without_room, 2, tmp_path)
    assert "No space left on device" in first
    assert second == f"rank 0: {first}"
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1, "the first checkpoint stands"


def over_budget(rank: int, folder: Path) -> str:
    """A run whose second rank takes more than the budget."""
    trainer = begun(folder, "stages", {"budget": {"memory": "1 GiB"}}, False, Silence())
    if rank == 1:
        trainer.meter.peak_bytes = 1 << 31
    with pytest.raises(BudgetExceeded) as ended:
        trainer.train()
    return str(ended.value)


def test_the_rank_that_takes_most_is_held_to_the_budget_for_all(tmp_path: Path) -> None:
    first, second = in_ranks(over_budget, 2, tmp_path)
    assert first == second
    assert first.startswith("one step takes 2 GiB on rank 1, over the budget of 1 GiB by 1 GiB (predicted ")


def test_ranks_draw_their_own_dropout_and_the_first_what_one_device_draws() -> None:
    assert step_seed(0, 1, 2, 0) == step_seed(0, 1, 2)
    assert len({step_seed(0, 1, 2, rank) for rank in range(4)}) == 4


@pytest.mark.parametrize("samples", [10, 5, 1])
@pytest.mark.parametrize("copies", [2, 3])
def test_copies_together_load_the_batches_of_one_device(samples: int, copies: int) -> None:
    """Mixed with the same ones, and cut to the same sizes; what is evaluated is cut likewise, and may be nothing."""
    split = open_data(plan_of("one"), None).train
    for train in (True, False):
        own = [Loader(split, samples, seed=3, train=train, layout=Layout(copies, (0,), rank, "0" * 64, slices=2))
               for rank in range(copies)]  # fmt: skip
        whole = list(Loader(split, samples, seed=3, train=train).epoch(1, 1))
        found = list(zip(*(each.parts(1, 1) for each in own), strict=True))
        assert len(found) == len(whole)
        for (images, labels), parts in zip(whole, found, strict=True):
            assert {part.samples for part in parts} == {len(labels)}
            places = torch.cat([torch.tensor(each.layout.share(len(labels)), dtype=torch.int64) for each in own])
            for place, there in enumerate((images, labels)):
                together = torch.cat([part.batch[place] for part in parts if part.batch])
                assert torch.equal(together, there[places])


def test_stages_after_the_first_load_nothing_and_know_how_much_there_is() -> None:
    loader = Loader(
        open_data(plan_of("one"), None).train, 10, seed=0, train=False, layout=Layout(2, (0, 1), 1, "0" * 64)
    )
    assert list(loader.parts(0)) == [(None, 10), (None, 10), (None, 3)]

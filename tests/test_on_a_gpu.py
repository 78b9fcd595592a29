"""What only a GPU can show: `pytest -m cuda tests/test_on_a_gpu.py`, or `make gpu`, which runs it as one of its parts.

Nothing outside of torch, numpy, pytest and specc's core is imported here. `SPECC_TEST_DEVICE=cpu` runs what makes sense
on a CPU, to see that the tests themselves are in order.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import specc
from runtime import Session
from runtime.engine.determinism import determinism
from runtime.errors import BudgetExceeded, Interrupted
from runtime.memory.sampling import in_own_process
from runtime.run.progress import Silence
from runtime.run.rundir import RunDir
from runtime.run.saving import optimizer_tensors
from runtime.run.trainer import Trainer
from specc.diagnostics.notices import notice
from specc.plan import Plan
from specc.plan.offloading import moved_bytes

from .commands import ROOT
from .commands import specc as command
from .documents import HPFF, MAN, PATCHES, Document, compiled

DEVICE = torch.device(os.environ.get("SPECC_TEST_DEVICE", "cuda:0"))
NO_GPU = DEVICE.type == "cuda" and not torch.cuda.is_available()
pytestmark = [pytest.mark.cuda, pytest.mark.skipif(NO_GPU, reason="needs a GPU")]
real = pytest.mark.skipif(DEVICE.type != "cuda", reason="of a GPU's allocator")
CPU = torch.device("cpu")

DROPPED = [
    {"name": "a", "op": "conv_bn_relu", "out": 4}, {"name": "drop", "op": "dropout", "p": 0.5},
    {"name": "b", "op": "conv_bn_relu", "out": 4}, {"name": "pool", "op": "global_avg_pool"},
    {"name": "head", "op": "linear", "out": 4},
]  # fmt: skip
WITH_DROPOUT: Document = {"backbone": {"layers": DROPPED}, "split": {"after": ["drop"]}}
RESTORED: Document = {"auxiliary": {"classifier": {}, "reconstruction": {"patches": PATCHES}}}
WAYS: dict[str, Document] = {
    "end to end": {"split": {"blocks": 1}},
    "local": {},
    "MAN and HPFF": MAN | HPFF,
    "patches": RESTORED,
    "recompute": MAN | {"train": {"recompute": True}},
    "micro-batches": {"train": {"micro_batches": 2}},
    "micro-batches by blocks": {"train": {"micro_batches": 2}, "schedule": {"order": "blocks"}},
    "channels last": {"train": {"memory_format": "channels_last"}},
    "weight average": {"train": {"weight_average": {}}},
    "the optimizer on the host": MAN | {"train": {"offload": ["optimizer"], "weight_average": {}}},
    "all on the host": MAN | HPFF | {"train": {"offload": ["optimizer", "parameters"], "clip": {"norm": 0.1}}},
}


@pytest.fixture(autouse=True)
def all_of_the_gpu() -> Iterator[None]:
    """A run's budget holds for its process from then on, and here for the next test."""
    yield
    if DEVICE.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(1.0, DEVICE)


def batch(plan: Plan, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Normalised images and labels, always the same ones."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.rand(plan.config.data.batch_size, *plan.data.shape, generator=generator, dtype=torch.float64)
    mean, std = (torch.tensor(v, dtype=torch.float64).view(-1, 1, 1) for v in (plan.data.mean, plan.data.std))
    return ((pixels - mean) / std).to(dtype), torch.randint(plan.data.classes, (len(pixels),), generator=generator)


def trained(plan: Plan, device: torch.device, dtype: torch.dtype = torch.float64, steps: int = 3) -> dict[str, Tensor]:
    """All tensors after some steps from the same beginning."""
    session = Session(plan, device, dtype)
    beginning = Session(plan, CPU, dtype).model.tensors()
    with torch.no_grad():
        for name, tensor in session.model.tensors().items():
            tensor.copy_(beginning[name])
    images, labels = batch(plan, dtype)
    for step in range(steps):
        torch.manual_seed(7)
        session.set_lr(0.01 / (step + 1))
        session.train_step(images.roll(step, 0), labels.roll(step, 0))
    return {name: tensor.detach().cpu() for name, tensor in session.model.tensors().items()}


def furthest(got: dict[str, Tensor], want: dict[str, Tensor]) -> float:
    """The largest difference, in parts of the tensor that it is in."""
    assert got.keys() == want.keys()
    return max(float((got[name].double() - t.double()).norm()) / max(1.0, float(t.double().norm()))
               for name, t in want.items())  # fmt: skip


def trainer_of(plan: Plan, folder: Path, device: torch.device = DEVICE, progress: Silence | None = None) -> Trainer:
    folder.mkdir(exist_ok=True)
    return Trainer(plan, device, RunDir(folder), progress or Silence(), "text")


def state(trainer: Trainer) -> dict[str, Tensor]:
    found = trainer.session.model.tensors() | optimizer_tensors(trainer.session)
    return {name: tensor.detach().cpu() for name, tensor in found.items()}


def same(got: dict[str, Tensor], want: dict[str, Tensor]) -> bool:
    return got.keys() == want.keys() and all(torch.equal(got[name], want[name]) for name in want)


# ---------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("way", WAYS)
def test_three_steps_are_those_of_a_cpu(way: str) -> None:
    plan = compiled(**WAYS[way])
    assert furthest(trained(plan, DEVICE), trained(plan, CPU)) < 1e-9


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_stays_near_fp32(precision: str) -> None:
    """Batch norm in eight channels is rough in bf16; a wrong cast would be further off by far."""
    half, single = (
        compiled(train={"precision": p, "optimizer": {"name": "sgd", "lr": 0.01}}) for p in (precision, "fp32")
    )
    assert furthest(trained(half, DEVICE, torch.float32), trained(single, CPU, torch.float32)) < 0.1


def test_what_is_recomputed_draws_the_same_dropout() -> None:
    kept, again = (compiled(**WITH_DROPOUT, train={"recompute": wanted}) for wanted in (False, True))
    assert furthest(trained(again, DEVICE), trained(kept, DEVICE)) < 1e-9


QUICKER = [{"graphs": True}, {"compile": True}, {"compile": True, "graphs": True}]


@real
@pytest.mark.parametrize("train", QUICKER, ids=[" and ".join(each) for each in QUICKER])
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_captured_or_compiled_step_does_what_the_step_does(train: Document, name: str) -> None:
    """Captured after a few steps that run as ever; batches and learning rates change afterwards."""
    parts = MAN | HPFF
    plain, quick = (
        compiled(**parts, train={"optimizer": {"name": name, "lr": 0.01}, **more}) for more in ({}, train)
    )  # fmt: skip
    said: list[str] = []
    with notice.heard(said.append):
        got = trained(quick, DEVICE, steps=8)
    assert said == []
    assert furthest(got, trained(plain, DEVICE, steps=8)) < 1e-8


# ---------------------------------------------------------------------------------------------- runs


def test_two_deterministic_runs_are_the_same(tmp_path: Path) -> None:
    plan = compiled(**WITH_DROPOUT, **MAN, train={"epochs": 2, "deterministic": True})
    trainers = [trainer_of(plan, tmp_path / name) for name in ("one", "two")]
    for trainer in trainers:
        trainer.train()
    assert same(*map(state, trainers))


class Stopping(Silence):
    """Interrupts the run after its first step."""

    trainer: Trainer

    def step_done(self, step: int, loss: float | None) -> None:
        self.trainer.interruption.wanted = signal.SIGINT


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(precision: str, tmp_path: Path) -> None:
    train = {"epochs": 2, "deterministic": True, "precision": precision, "optimizer": {"name": "adamw"}}
    plan = compiled(**WITH_DROPOUT, **MAN, train=train)
    whole = trainer_of(plan, tmp_path / "whole")
    whole.train()
    progress = Stopping()
    progress.trainer = trainer_of(plan, tmp_path / "parts", progress=progress)
    with pytest.raises(Interrupted):
        progress.trainer.train()
    torch.manual_seed(12345)
    again = trainer_of(plan, tmp_path / "parts")
    again.resume()
    again.train()
    assert same(state(again), state(whole))


def test_a_run_is_evaluated_and_goes_on_elsewhere(tmp_path: Path) -> None:
    plan = compiled(train={"epochs": 2, "optimizer": {"name": "adamw"}})
    progress = Stopping()
    progress.trainer = trainer_of(plan, tmp_path, progress=progress)
    with pytest.raises(Interrupted):
        progress.trainer.train()
    again = trainer_of(plan, tmp_path, CPU)
    again.resume()
    assert {t.device.type for t in again.session.resident()} == {"cpu"}
    assert again.train()["status"] == "completed"


def test_a_run_from_the_command_line(tmp_path: Path) -> None:
    room = "budget.memory=2 GiB"  # a hard limit there, and cuBLAS takes 2 × 32 MiB of workspaces on a Hopper
    small = ("backbone.depth=8", "backbone.widths=[4, 4, 6, 8]", "split.blocks=3", "data.batch_size=256")
    device = ("--gpu", "0") if DEVICE.type == "cuda" else ("--device", "cpu")
    words = ("run", ROOT / "specs" / "quickstart.yaml", *device, "--run-dir", tmp_path / "run", *small)
    result = command(*words, "train.epochs=1", room, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert found["device"] == str(DEVICE)
    again = command("evaluate", tmp_path / "run", "--device", "cpu", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


# ---------------------------------------------------------------------------------------------- memory


@real
@pytest.mark.parametrize("way", [(), ("train.recompute=true",), ("train.micro_batches=4",), ("train.precision=bf16",)],
                         ids=["plain", "recompute", "micro-batches", "bf16"])  # fmt: skip
def test_a_gpu_gives_what_was_predicted(way: tuple[str, ...]) -> None:
    plan = specc.compile(ROOT / "specs" / "quickstart.yaml", ["data.batch_size=512", "budget=null", *way])
    found = in_own_process(plan, str(DEVICE))
    assert found.requested_bytes is not None
    assert found.reserved_bytes is not None
    assert plan.memory.peak_bytes * 0.95 < found.requested_bytes <= found.allocated_bytes <= found.reserved_bytes


HOSTED = [
    "split={blocks: 8}",
    "ema_links=[]",
    "data.batch_size=64",
    "budget=null",
    "train.offload=[optimizer, parameters]",
]


@real
def test_parameters_on_the_host_come_and_go_as_predicted() -> None:
    """They are pinned, the GPU holds no more than it should, gives all back, and every byte moves once each way."""
    plan = specc.compile(ROOT / "specs" / "quickstart.yaml", HOSTED)
    session = Session(plan, DEVICE)
    offload = session.model.offload
    assert offload is not None
    assert all(slot.own.is_pinned() for own in offload.slots.values() for slot in own)
    images, labels = batch(plan, torch.float32)
    for _ in range(3):
        torch.cuda.synchronize(DEVICE)
        torch.cuda.reset_peak_memory_stats(DEVICE)
        offload.moved[:] = [0, 0]
        session.train_step(images, labels)
    peak = torch.cuda.memory_stats(DEVICE)["requested_bytes.all.peak"]
    workspaces = 64 << 20  # of cuBLAS, on a Hopper twice 32 MiB
    assert plan.memory.peak_bytes * 0.9 < peak < plan.memory.peak_bytes + workspaces
    assert offload.moved == list(moved_bytes(plan))
    assert list(offload.staying()) == []


@real
def test_nothing_is_read_before_it_is_there_however_long_it_takes() -> None:
    """Blocks of some size, so that moves and work take their time: a race shows in the numbers."""
    wide = {"backbone": {"family": "vit", "patch": 8, "width": 512, "depth": 8, "heads": 8}, "split": {"blocks": 8}}
    data = {"dataset": "synthetic", "image_size": 64, "channels": 3, "classes": 4, "samples": 64, "batch_size": 32}
    plain, offloaded = (
        compiled(data=data, **wide, train={"offload": parts}) for parts in ([], ["optimizer", "parameters"])
    )
    want = trained(plain, DEVICE, steps=6)
    for _ in range(3):
        assert furthest(trained(offloaded, DEVICE, steps=6), want) < 1e-9


@real
def test_steps_on_the_host_unscale_what_has_arrived() -> None:
    parts = ([], ["optimizer", "parameters"])
    plain, offloaded = (compiled(**MAN, train={"precision": "fp16", "offload": each}) for each in parts)
    assert furthest(trained(offloaded, DEVICE, torch.float32), trained(plain, DEVICE, torch.float32)) < 1e-2


@real
def test_a_budget_is_a_hard_limit(tmp_path: Path) -> None:
    plan: Any = specc.compile(ROOT / "specs" / "quickstart.yaml", ["data.batch_size=1437", "budget.memory=1 GiB"])
    hoarded = torch.empty(1000 << 20, dtype=torch.uint8, device=DEVICE)
    with pytest.raises(BudgetExceeded) as caught:
        trainer_of(plan, tmp_path).train()
    assert caught.value.exit_code == 4
    assert hoarded.numel()


@real
def test_strictness_leaves_the_gpu_as_it_was() -> None:
    with determinism(True):
        torch.zeros(2, 2, device=DEVICE) @ torch.zeros(2, 2, device=DEVICE)
    assert not torch.are_deterministic_algorithms_enabled()

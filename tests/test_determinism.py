"""Two runs are the same run: on a processor anyway, on a GPU where `train.deterministic` asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from runtime.engine.determinism import cost, determinism, refused
from runtime.errors import RunError
from runtime.run.trainer import Trainer
from specc.plan import Plan

from .documents import HPFF, MAN, compiled
from .test_resume import TINY, rows, trainer_of
from .test_runtime import assert_same, tensors
from .test_two_halves import state

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


def plan_of(**train: object) -> Plan:
    return compiled(**TINY, **MAN, **HPFF, train={"epochs": 2, **train})


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def switches() -> tuple[object, ...]:
    cudnn = torch.backends.cudnn
    return (
        torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
        cudnn.deterministic, cudnn.benchmark, os.environ.get(CUBLAS),
    )  # fmt: skip


def test_two_runs_on_a_processor_are_the_same(tmp_path: Path) -> None:
    """With as many threads: sums of another number of parts are rounded otherwise."""
    trainers = []
    with threads(2):
        for name in ("one", "two"):
            torch.manual_seed(len(trainers))  # nothing of the process itself is drawn on
            trainers.append(trainer_of(plan_of(), tmp_path / name))
            trainers[-1].train()
    assert_same(state(trainers[0]), state(trainers[1]))
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


def test_torch_is_strict_during_the_run_and_as_before_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CUBLAS, raising=False)
    before, seen = switches(), set()
    trainer = trainer_of(plan_of(deterministic=True), tmp_path)
    trainer.session.executor.observer = lambda _: seen.add(switches())
    trainer.train()
    assert seen == {(True, False, True, False, ":4096:8")}
    assert switches() == before


def test_a_workspace_that_the_user_has_fixed_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, used in ((":16:8", ":16:8"), (":4096:2", ":4096:8")):
        monkeypatch.setenv(CUBLAS, given)
        with determinism(True):
            assert os.environ[CUBLAS] == used
        assert os.environ[CUBLAS] == given


def test_it_changes_no_number_on_a_processor(tmp_path: Path) -> None:
    plain, strict = (trainer_of(plan_of(deterministic=wanted), tmp_path / str(wanted)) for wanted in (False, True))
    plain.train()
    strict.train()
    assert_same(tensors(plain.session), tensors(strict.session))


def test_it_says_what_it_costs(tmp_path: Path) -> None:
    assert trainer_of(plan_of(deterministic=True), tmp_path / "strict").notes == [cost(torch.device("cpu"))]
    assert trainer_of(plan_of(), tmp_path / "plain").notes == []
    assert "longer" in cost(torch.device("cuda"))


def unpooled(trainer: Trainer) -> None:
    """Before every forward, what torch cannot do deterministically even on a processor."""
    pooled, places = torch.nn.functional.max_pool2d(torch.randn(1, 1, 4, 4), 2, return_indices=True)

    def unpool(instruction: object) -> None:
        if getattr(instruction, "kind", "") == "forward":
            torch.nn.functional.max_unpool2d(pooled, places, 2)

    trainer.session.executor.observer = unpool


def test_what_has_no_deterministic_algorithm_ends_the_run_with_its_place(tmp_path: Path) -> None:
    trainer = trainer_of(plan_of(deterministic=True), tmp_path)
    unpooled(trainer)
    with pytest.raises(RunError) as caught:
        trainer.train()
    assert caught.value.exit_code == 3
    told = "torch knows no deterministic algorithm for `max_unpooling2d_forward_out`, which `forward block0` needs"
    assert str(caught.value) == told
    assert caught.value.help[0].startswith("`train.deterministic: false` runs it")


def test_without_it_the_same_runs(tmp_path: Path) -> None:
    trainer = trainer_of(plan_of(), tmp_path)
    unpooled(trainer)
    trainer.train()


def test_a_cublas_that_was_used_before_is_told_apart() -> None:
    said = "Deterministic behavior was enabled, but this operation is not deterministic because it uses CuBLAS and you"
    assert refused(RuntimeError(said)) == (
        "cuBLAS was used before its workspace was fixed", f"start with {CUBLAS}=:4096:8 in the environment",
    )  # fmt: skip
    assert refused(RuntimeError("CUDA error")) is None

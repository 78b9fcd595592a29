"""What a copy with a part of the parameters takes: every instruction to the byte, under fake tensors and messages."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch.distributed as dist
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.testing._internal.distributed.fake_pg import FakeStore

from runtime.engine.session import Session
from runtime.engine.sharding import own_part
from runtime.engine.wire import Wire
from runtime.memory.meter import LiveTensors
from runtime.memory.trace import Corrections, _observed, fake_batch
from specc.layout import laid_out
from specc.memory.prediction import as_traced
from specc.plan import Plan

from .documents import HPFF, MAN, Document, compiled


class Resized(LiveTensors):
    """Counts storages that grow and shrink, as those of gathered parameters do."""

    def __init__(self, resident: Iterable[Tensor]) -> None:
        self.sizes: dict[int, int] = {}
        super().__init__(own_part(tensor) for tensor in resident)

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.look()
        found = super().__torch_dispatch__(func, types, args, kwargs)
        self.look()
        return found

    def look(self) -> None:
        for key, reference in list(self._known.items()):
            storage = reference()
            if storage is not None and storage.nbytes() != self.sizes[key]:
                self.alive += storage.nbytes() - self.sizes[key]
                self.sizes[key] = storage.nbytes()
                self.peak = max(self.peak, self.alive)

    def add(self, tensor: Tensor) -> None:
        storage = own_part(tensor).untyped_storage()
        key = storage._cdata
        if key in self._known:
            return

        def died(_: Any) -> None:
            self._known.pop(key, None)
            self.alive -= self.sizes.pop(key)

        self._known[key], self.sizes[key] = weakref.ref(storage, died), storage.nbytes()
        self.alive += self.sizes[key]
        self.peak = max(self.peak, self.alive)


def traced(own: Plan) -> list[int]:
    """The peaks of a rank's instructions in its second step."""
    assert own.layout is not None
    dist.init_process_group("fake", store=FakeStore(), rank=own.layout.rank, world_size=own.layout.count)
    try:
        wire = Wire(own)
        with FakeTensorMode(), Corrections():
            session = Session(own, "cpu", initialise=False, wire=wire)
            batch = tuple(tensor[: own.batch].clone() for tensor in fake_batch(own))
            session.train_step(*batch, samples=own.config.data.batch_size)
            with Resized([*session.resident(), *batch]) as live, _observed(session, live) as peaks:
                session.train_step(*batch, samples=own.config.data.batch_size)
            return peaks
    finally:
        dist.destroy_process_group()


CASES: dict[str, Document] = {
    "plain": MAN,
    "slices": {**MAN, **HPFF, "train": {"recompute": True, "micro_batches": 2}},
    "low": {**MAN, "train": {"precision": "bf16"}},
}


@pytest.mark.parametrize("case", CASES)
def test_a_copy_with_a_part_of_the_parameters_takes_what_is_predicted(case: str) -> None:
    backbone = {"family": "resnet_cifar", "depth": 14, "widths": [16, 16, 23, 32]}  # which two copies share unevenly
    plan = compiled(**CASES[case], backbone=backbone, devices={"data_parallel": 2, "shard": True})
    own = laid_out(plan, 1)
    moments = as_traced(own).timeline
    found = {str(own.instructions[moment.instruction]): moment.bytes for moment in moments}
    assert found == dict(zip(found, traced(own), strict=True))


def test_two_copies_have_half_of_what_lives_throughout() -> None:
    whole, half = (
        laid_out(compiled(**MAN, devices={"data_parallel": 2, "shard": shard}), 1).memory.timeline[-1].categories
        for shard in (False, True)
    )
    for category in ("parameters", "optimizer state", "EMA copies"):
        assert whole[category] // 2 <= half[category] < 0.6 * whole[category], category

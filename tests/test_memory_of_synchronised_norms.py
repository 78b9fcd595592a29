"""What batch norms of several copies take: every instruction of a rank to the byte, under fake tensors and messages."""

from __future__ import annotations

import pytest
import torch.distributed as dist
from torch._subclasses import FakeTensorMode
from torch.testing._internal.distributed.fake_pg import FakeStore

from runtime.engine.session import Session
from runtime.engine.wire import Wire
from runtime.memory.meter import LiveTensors
from runtime.memory.trace import Corrections, _observed, fake_batch
from specc.layout import laid_out
from specc.memory.prediction import as_traced
from specc.plan import Plan

from .documents import HPFF, MAN, Document, compiled

LOW: Document = {"precision": "bf16", "recompute": True, "memory_format": "channels_last"}


def traced(own: Plan) -> list[int]:
    """The peaks of a rank's instructions in its second step."""
    assert own.layout is not None
    dist.init_process_group("fake", store=FakeStore(), rank=own.layout.rank, world_size=own.layout.count)
    try:
        with FakeTensorMode(), Corrections():
            session = Session(own, "cpu", initialise=False, wire=Wire(own))
            batch = tuple(tensor[: own.batch].clone() for tensor in fake_batch(own))
            session.train_step(*batch, samples=own.config.data.batch_size)
            with LiveTensors([*session.resident(), *batch]) as live, _observed(session, live) as peaks:
                session.train_step(*batch, samples=own.config.data.batch_size)
            return peaks
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize(
    ("train", "copies"), [({}, 3), (LOW, 2), ({"micro_batches": 2}, 2)], ids=["plain", "low", "slices"]
)
def test_a_rank_with_synchronised_norms_takes_what_is_predicted(train: Document, copies: int) -> None:
    data = {"dataset": "synthetic", "image_size": 8, "channels": 1, "classes": 4, "samples": 24, "batch_size": 8}
    own = laid_out(compiled(**MAN, **HPFF, train=train, data=data, devices={"data_parallel": copies}), 1)
    moments = as_traced(own).timeline
    found = {str(own.instructions[moment.instruction]): moment.bytes for moment in moments}
    assert found == dict(zip(found, traced(own), strict=True))

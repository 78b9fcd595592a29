"""The memory of a plan's real step without its arithmetic: modules and executor on fake tensors, storages counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from specc.plan import Instruction, Plan

from .meter import LiveTensors
from .session import Session


@dataclass(frozen=True, slots=True)
class Trace:
    """Bytes alive at the highest point of the whole step and of each instruction."""

    peak_bytes: int
    timeline: tuple[int, ...]


def trace(plan: Plan) -> Trace:
    """Count the storages of the second step (momentum exists) under fake CPU tensors; nothing is computed."""
    with FakeTensorMode():
        session = Session(plan, "cpu", initialise=False)
        images, labels = fake_batch(plan)
        return watch(session, images, labels)


def fake_batch(plan: Plan) -> tuple[Tensor, Tensor]:
    """A batch of the plan's shape; its values are never looked at."""
    assert plan.data.shape is not None
    batch = plan.config.data.batch_size
    return torch.zeros(batch, *plan.data.shape), torch.zeros(batch, dtype=torch.int64)


def watch(session: Session, images: Tensor, labels: Tensor) -> Trace:
    """Run two steps and count the second, instruction by instruction; real tensors or fake ones."""
    session.train_step(images, labels)
    with LiveTensors([*session.resident(), images, labels]) as live, _observed(session, live) as peaks:
        session.train_step(images, labels)
    return Trace(max(peaks), tuple(peaks))


@contextmanager
def _observed(session: Session, live: LiveTensors) -> Iterator[list[int]]:
    """The peaks of the instructions, collected while they run."""
    peaks: list[int] = []

    def begin(instruction: Instruction) -> None:
        if peaks:
            peaks[-1] = live.peak
        peaks.append(live.alive)
        live.peak = live.alive

    session.executor.observer = begin
    try:
        yield peaks
    finally:
        session.executor.observer = None
        if peaks:
            peaks[-1] = live.peak

"""The memory of a plan's real step without its arithmetic: modules and executor on fake tensors, storages counted."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from specc.plan import Instruction, Plan

from ..engine.model import memory_format_of
from ..engine.session import Session
from ..engine.wire import Wire
from ..fakes import fakes
from .meter import LiveTensors

LATE = 1e9  # what any tensor says that it holds


@dataclass(frozen=True, slots=True)
class Trace:
    """Bytes alive at the highest point of the whole step and of each instruction."""

    peak_bytes: int
    timeline: tuple[int, ...]


def trace(plan: Plan) -> Trace:
    """Count the storages of the second step (momentum exists) under fake CPU tensors; nothing is computed.

    Of a rank's plan its own; no other rank is there, as nothing is sent.
    """
    with _fake_ranks(plan) as wire, fakes(), Corrections():
        session = Session(plan, "cpu", initialise=False, wire=wire)
        # Fakes cannot be asked whether their gradients are finite, which fp16's scaler does: every step is taken.
        session.scaler = torch.amp.GradScaler("cpu", enabled=False)
        images, labels = fake_batch(plan)
        return watch(session, images, labels)


@contextmanager
def _fake_ranks(plan: Plan) -> Iterator[Wire | None]:
    """A rank's end of all that moves, in a process group that moves nothing; a process has one such group at a time."""
    if plan.layout is None:
        yield None
        return
    fakes = importlib.import_module("torch.testing._internal.distributed.fake_pg")  # which makes the backend known
    rank, count = plan.layout.rank, plan.layout.count
    dist.init_process_group("fake", rank=rank, world_size=count, store=fakes.FakeStore())
    try:
        yield Wire(plan)
    finally:
        dist.destroy_process_group()


class Corrections(TorchDispatchMode):
    """What fake tensors do not do as real ones.

    Batch norm keeps its statistics in fp32 whatever its input is in, and its gradient lies in memory as that input
    does. A fake has no number to tell: the counters that optimizers read are those of a late step, in which some take
    more memory than in their first. The fused SGD has no fake kernel: torch would run
    the real one on real zeros as large as all parameters; what it changes is of no interest here.
    """

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the op as a real one would."""
        if func is torch.ops.aten._fused_sgd_.default:
            return None
        if func is torch.ops.aten._local_scalar_dense.default:
            return LATE
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.native_batch_norm.default:
            out, *statistics = result
            return (out, *(torch.empty_like(s, dtype=torch.promote_types(s.dtype, torch.float32)) for s in statistics))
        if func is torch.ops.aten.native_batch_norm_backward.default and result[0] is not None:
            return (torch.empty_like(args[1]), *result[1:])
        return result


def fake_batch(plan: Plan) -> tuple[Tensor, Tensor]:
    """A batch of the plan's shape; its values are never looked at."""
    task, batch = plan.config.learns, plan.batch
    images, target = (
        torch.zeros(batch, *values.shape(plan.data), dtype=getattr(torch, values.dtype))
        for values in (task.input, task.target)
    )
    return images.to(memory_format=memory_format_of(plan)), target


def watch(session: Session, images: Tensor, labels: Tensor) -> Trace:
    """Run two steps and count the second, instruction by instruction; real tensors or fake ones.

    Of decoupled stages it is the one from which on as much is on its way as there may be.
    """
    layout = session.plan.layout
    samples = None if layout is None else session.plan.config.data.batch_size
    given = (images, labels) if layout is None or layout.stage == 0 else (None, None)
    for _ in range(1 + (layout.ahead if layout else 0)):  # each on a batch of its own, as stages may still send it on
        session.train_step(*(None if each is None else each.clone() for each in given), samples=samples)
    held = [tensor for tensor in given if tensor is not None]
    with LiveTensors([*session.resident(), *held], session.resized) as live, _observed(session, live) as peaks:
        session.train_step(*given, samples=samples)
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

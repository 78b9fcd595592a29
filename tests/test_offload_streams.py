"""What is asked of a GPU's streams, in order: nothing is read before it is there, or written while it is in use."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runtime.engine.offload import Offload, Slot, Streams
from runtime.engine.session import Session
from specc.plan import Backward, Instruction, Step
from specc.plan.offloading import Held

from .documents import compiled
from .test_offload import BOTH, SGD, batches, plan_of, session_of

CPU = torch.device("cpu")


class Gpu:
    """Stands for `torch.cuda`: remembers what it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.streams, self.events = 0, 0
        self.current: Any = Stream(self, "main")
        names = iter(("in", "out"))
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(self, next(names)))
        monkeypatch.setattr(torch.cuda, "Event", type("Own", (Event,), {"gpu": self}))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self.current)
        monkeypatch.setattr(torch.cuda, "stream", self.on)
        monkeypatch.setattr(torch.cuda, "set_device", lambda device: self.asked.append("set device"))
        monkeypatch.setattr(Tensor, "record_stream", lambda tensor, stream: self.asked.append(f"{stream.name} keeps"))
        own = Tensor.copy_

        def copied(to: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
            self.asked.append(f"{self.current.name} copies" + " and waits" * (not non_blocking))
            return own(to, source)

        monkeypatch.setattr(Tensor, "copy_", copied)

    @contextmanager
    def on(self, stream: Any) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before


class Event:
    gpu: Gpu

    def __init__(self, *, blocking: bool) -> None:
        assert blocking  # whoever waits for it lets others work
        self.number = self.gpu.events
        self.gpu.events += 1

    def synchronize(self) -> None:
        self.gpu.asked.append(f"host waits for {self.number}")


class Stream:
    def __init__(self, gpu: Gpu, name: str) -> None:
        self.gpu, self.name = gpu, name

    def wait_stream(self, other: Stream) -> None:
        self.gpu.asked.append(f"{self.name} waits for {other.name}")

    def wait_event(self, event: Event) -> None:
        self.gpu.asked.append(f"{self.name} waits for {event.number}")

    def record_event(self, event: Event) -> Event:
        self.gpu.asked.append(f"{self.name} at {event.number}")
        return event


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    monkeypatch.setattr(Streams, "pinned", False)  # there is nobody to pin memory for
    return Gpu(monkeypatch)


def offload_of(gpu: Gpu, *names: str) -> Offload:
    """One parameter each, on what stands for a GPU."""
    slots = {name: [Slot({}, "weight", nn.Parameter(torch.zeros(2)))] for name in names}
    offload = Offload(Held(dict.fromkeys(names, ("net",)), lent=True), slots, CPU, behind=False)
    offload.ways = Streams(CPU)
    return offload


def turn(offload: Offload, name: str, then: str | None = None) -> None:
    """Load, a backward, evict."""
    offload.load(name, then)
    for slot in offload.slots[name]:
        assert slot.copy is not None
        slot.copy.grad = torch.ones(2)
    offload.evict(name)


def test_parameters_come_beside_what_is_computed_and_after_what_was_in_their_place(gpu: Gpu) -> None:
    offload = offload_of(gpu, "a", "b")
    offload.load("a", "b")
    assert gpu.asked == [
        "in waits for main", "in copies", "in at 0", "in waits for main", "in copies", "in at 1",
        "main waits for 0",  # and for nothing of b
    ]  # fmt: skip
    gpu.asked.clear()
    offload.load("b")
    assert gpu.asked == ["main waits for 1"]


def test_gradients_leave_when_they_are_made_and_their_memory_waits_for_that(gpu: Gpu) -> None:
    offload = offload_of(gpu, "a")
    offload.load("a")
    gpu.asked.clear()
    turn(offload, "a")
    assert gpu.asked == ["main waits for 0", "out waits for main", "out copies", "out keeps", "out at 1"]
    gpu.asked.clear()
    offload.behind("a", lambda: gpu.asked.append("step"))
    assert gpu.asked == ["host waits for 1", "step"]


def test_the_host_is_no_further_ahead_than_two_blocks_gradients(gpu: Gpu) -> None:
    """What it frees while another stream reads it is free only then; gradients of a whole network would pile up."""
    offload = offload_of(gpu, *"abcd")
    for name in "abcd":
        turn(offload, name)
    left = [int(re.findall(r"\d+", line)[0]) for line in gpu.asked if line.startswith("out at")]
    waited = [line for line in gpu.asked if line.startswith("host waits")]
    assert waited == [f"host waits for {event}" for event in left[:2]]
    assert gpu.asked.index(waited[0]) > gpu.asked.index(f"out at {left[1]}")
    assert gpu.asked.index(waited[0]) < gpu.asked.index(f"out at {left[2]}")


def test_what_was_on_its_way_when_a_step_failed_is_waited_for(gpu: Gpu) -> None:
    """Its memory is given away, while a stream still writes there."""
    offload = offload_of(gpu, "a", "b")
    offload.load("a", "b")
    gpu.asked.clear()
    offload.abandon()
    assert gpu.asked == ["main waits for 0", "main waits for 1"]


def test_the_thread_that_makes_steps_is_of_this_gpu(gpu: Gpu) -> None:
    offload = offload_of(gpu, "a")
    offload._behind = True
    offload.behind("a", lambda: gpu.asked.append("step"))
    offload.settle()
    assert gpu.asked == ["set device", "step"]


# -- steps behind ---------------------------------------------------------------------------------------------------


def test_a_blocks_step_is_made_while_the_next_block_computes() -> None:
    """Here it ends only when the next block's backward has begun."""
    plan = plan_of("plain", BOTH)
    session, begun, stepped = session_of(plan, behind=True), threading.Event(), list[str]()
    step, order = session.executor.machine._step, [str(each) for each in plan.instructions]
    assert order.index("step block0") < order.index("backward block1 to block1")

    def late(group: str) -> None:
        if group == "block0":
            assert begun.wait(30)
        stepped.append(group)
        step(group)

    def seen(instruction: Instruction) -> None:
        if isinstance(instruction, Backward) and instruction.block == 1:
            assert "block0" not in stepped
            begun.set()

    session.executor.machine._step = late
    session.executor.observer = seen
    session.train_step(*batches(plan)[0])
    assert stepped == [each.group for each in plan.instructions if isinstance(each, Step)]


def test_the_scale_of_fp16_lives_where_gradients_are_unscaled() -> None:
    """On a GPU it would come to the host behind all that is computed, and be read before it is there."""
    session = Session(
        compiled(train={"optimizer": SGD, "precision": "fp16", "offload": BOTH}), "meta", initialise=False
    )
    assert session.scaler._scale is not None
    assert session.scaler._scale.device == CPU

"""The time and the memory of a plan's step on a device, in a process of its own: nothing is left of the plan before.

    python -m benchmarks.gpu.measuring DEVICE ROUNDS < plan.json

prints one JSON document. Rounds of steps are timed between two waits for the device, and their median told; on a CPU
it is the time that the thread worked.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from runtime.engine.device import choose
from runtime.engine.session import Session
from runtime.memory.apart import answer, asked
from runtime.memory.measure import random_batch
from runtime.memory.meter import Meter
from specc.diagnostics.notices import notice
from specc.plan import Plan

WARM = 5  # steps before any is timed: kernels are chosen, compiled, and graphs recorded
STEPS = 4  # of a round


@dataclass(frozen=True)
class Measured:
    """Of one plan; bytes are of the highest point from the second step on."""

    seconds: float  # of a step, the median
    fastest: float
    slowest: float
    warm_seconds: float  # of everything before
    requested_bytes: int | None
    allocated_bytes: int
    reserved_bytes: int | None
    device_bytes: int | None  # taken of the device by whoever uses it, as nvidia-smi would show
    notes: list[str]  # what specc said meanwhile, such as what could not be compiled

    @property
    def figures(self) -> dict[str, Any]:
        """For a row."""
        return {"measured_seconds" if key == "seconds" else key: value for key, value in asdict(self).items()}


def measure(plan: Plan, device: torch.device, rounds: int, steps: int = STEPS) -> Measured:
    """In this process."""
    notes: list[str] = []
    with notice.heard(notes.append):
        return _measured(plan, device, rounds, steps, notes)


def _measured(plan: Plan, device: torch.device, rounds: int, steps: int, notes: list[str]) -> Measured:
    began = time.perf_counter()
    session = Session(plan, device)
    session.set_lr(0.0)  # noise must not drive the losses out of the numbers
    images, labels = random_batch(plan, device)
    for _ in range(WARM if device.type == "cuda" else 1):
        session.train_step(images, labels)
    seconds, wait = _clock(device)
    wait()
    warm = time.perf_counter() - began
    taken = []
    meter = Meter(device, session.resident)
    for _ in range(rounds):
        wait()
        start = seconds()
        for _ in range(steps):
            session.train_step(images, labels)
        wait()
        taken.append((seconds() - start) / steps)
    meter.measure(lambda: session.train_step(images, labels), (images, labels))
    return Measured(
        statistics.median(taken), min(taken), max(taken), warm, meter.requested_bytes or None, meter.peak_bytes,
        meter.reserved_bytes or None, taken_of(device), notes,
    )  # fmt: skip


def taken_of(device: torch.device) -> int | None:
    """Bytes that are not free on the device: the context, libraries, what the allocator keeps, other processes."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    return total - free


def _clock(device: torch.device) -> tuple[Callable[[], float], Callable[[], None]]:
    """What tells seconds, and what waits for the device."""
    if device.type == "cuda":
        return time.perf_counter, lambda: torch.cuda.synchronize(device)
    torch.set_num_threads(1)
    return time.thread_time, lambda: None


def apart(plan: Plan, device: torch.device, rounds: int, timeout: float) -> Measured:
    """In a process of its own; raises `RunError` with what went wrong there. On a CPU nothing is left over: here."""
    if device.type == "cpu":
        return measure(plan, device, 1, 1)
    return Measured(**asked("benchmarks.gpu.measuring", [str(device), str(rounds)], plan, max(timeout, 1.0)))


if __name__ == "__main__":
    answer(lambda plan: asdict(measure(plan, choose(sys.argv[1], None), int(sys.argv[2]))))

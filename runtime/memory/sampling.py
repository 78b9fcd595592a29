"""The peak memory of a plan's steps, measured in a process of its own.

    python -m runtime.memory.sampling DEVICE < plan.json

prints one JSON document; `in_own_process` does this and reads it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from typing import Any

import torch

from specc.plan import Plan

from ..engine.device import choose, identity
from ..engine.session import Session
from .apart import answer, asked
from .measure import random_batch
from .meter import Meter

STEPS = 3  # metered, after one that is not
TIMEOUT = 900.0  # seconds


@dataclass(frozen=True, slots=True)
class Peaks:
    """Peaks from the second step on. A CPU has live tensors and nothing else: requested and allocated are the same."""

    identity: dict[str, Any]  # see `device.identity`
    allocator: str
    device_bytes: int | None  # of memory on the device
    requested_bytes: int | None  # None: this allocator does not know
    allocated_bytes: int
    reserved_bytes: int | None
    context_bytes: int | None = None  # taken of the device by something else than the allocator


def sample(plan: Plan, device: torch.device) -> Peaks:
    """Measure in this process."""
    session = Session(plan, device)
    session.set_lr(0.0)  # noise must not drive the losses out of the numbers; the optimizer has its state all the same
    images, labels = random_batch(plan, device)
    session.train_step(images, labels)  # makes the optimizer's state; libraries load their kernels and take workspaces
    meter = Meter(device, session.resident)
    for _ in range(STEPS):
        meter.measure(lambda: session.train_step(images, labels), (images, labels))
    if device.type != "cuda":
        return Peaks(identity(device), "live tensors", None, meter.peak_bytes, meter.peak_bytes, None)
    total = torch.cuda.get_device_properties(device).total_memory
    requested, reserved = meter.requested_bytes or None, meter.reserved_bytes
    return Peaks(identity(device), allocator(), total, requested, meter.peak_bytes, reserved, context_of(device))


def context_of(device: torch.device) -> int:
    """What is taken of the device beside what the allocator holds: the context, and other processes where there are."""
    free, total = torch.cuda.mem_get_info(device)
    return max(total - free - torch.cuda.memory_reserved(device), 0)


def allocator() -> str:
    """How the CUDA allocator is set up: ``native``, or with what the environment says."""
    names = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "CUBLAS_WORKSPACE_CONFIG")
    said = [f"{name}={os.environ[name]}" for name in names if os.environ.get(name)]
    return " ".join([torch.cuda.get_allocator_backend(), *said])


def in_own_process(plan: Plan, device: str, timeout: float = TIMEOUT) -> Peaks:
    """Measure in a process of its own; raises `RunError` with what went wrong there."""
    return Peaks(**asked("runtime.memory.sampling", [device], plan, timeout))


if __name__ == "__main__":
    answer(lambda plan: asdict(sample(plan, choose(sys.argv[1], None))))

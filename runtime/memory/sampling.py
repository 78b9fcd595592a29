"""The peak memory of a plan's steps, measured in a process of its own so that no plan leaves anything to the next.

    python -m runtime.memory.sampling DEVICE < plan.json

prints one JSON document; `apart` does this and reads it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from specc.plan import Plan

from ..engine.device import choose, first_line, identity, ran_out
from ..engine.session import Session
from ..errors import RunError
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
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "runtime.memory.sampling", device],
            input=plan.to_json(), capture_output=True, text=True, check=False, timeout=timeout,
            env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RunError(f"not done after {timeout:.0f} seconds") from None
    answer = _answer(done.stdout)
    if "error" in answer:
        raise RunError(answer["error"])
    if not answer:
        raise RunError(_why_it_ended(done))
    return Peaks(**answer)


def _answer(output: str) -> dict[str, Any]:
    """The document on the last line; what libraries print comes before it."""
    lines = output.strip().splitlines()
    try:
        found: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        return {}
    return found


def _why_it_ended(done: subprocess.CompletedProcess[str]) -> str:
    """Why a process may have ended without an answer."""
    if done.returncode < 0:
        killed = " (the machine may have run out of memory)" if done.returncode == -9 else ""
        return f"ended by signal {-done.returncode}{killed}"
    said = done.stderr.strip().splitlines()
    return said[-1] if said else f"ended with exit code {done.returncode} and without a word"


def main() -> None:
    """Measure the plan on stdin."""
    try:
        found = asdict(sample(Plan.from_json(sys.stdin.read()), choose(sys.argv[1], None)))
    except RunError as error:
        found = {"error": str(error)}
    except RuntimeError as error:
        found = {"error": ("out of memory: " if ran_out(error) else "") + first_line(error)}
    print(json.dumps(found, allow_nan=False))


if __name__ == "__main__":
    main()

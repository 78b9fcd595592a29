"""One block beside a hand-written loop on the device, as `benchmarks.step` does on a CPU: the same cases, larger too.

Small batches tell what a step costs the host, large ones what the device makes of it. Both sides take turns, and the
median of the ratios of the turns is told.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks import plain
from benchmarks.step import of_loop
from benchmarks.steps import LR, case_plan
from runtime import Session
from runtime.engine.model import MEMORY_FORMATS
from runtime.memory.measure import random_batch

from .work import Work

SECONDS = 20.0  # that a case may take
BATCHES = (64, 1024)
WARM, TURNS, STEPS = 5, 7, 5
Case = dict[str, Any]


def run(work: Work) -> None:
    """A row a case."""
    for case in cases(work.small):
        words = (case["network"], case["optimizer"], case["memory_format"], f"batch {case['batch_size']}")
        if work.has(", ".join(words), 0.0 if work.small else SECONDS):
            continue
        sides = built(case, work.device)
        turns, steps = (1, 1) if work.small else (TURNS, STEPS)
        times = alternating(sides, work.device, turns, steps)
        ratio = statistics.median(x / y for x, y in zip(times["specc"], times["loop"], strict=True))
        figures = {f"{name}_seconds": statistics.median(each) for name, each in times.items()}
        work.row(", ".join(words), f"{ratio:.3f} of a loop's time", **figures, ratio=ratio)


def cases(small: bool) -> Iterator[Case]:
    """All of them; the first one, on a few images, is the stand-in."""
    for batch in (2,) if small else BATCHES:
        for case in of_loop()[: 1 if small else None]:
            yield case | {"batch_size": batch}


def built(case: Case, device: torch.device) -> dict[str, Callable[[], object]]:
    """A step of each side, warmed up."""
    plan = case_plan(case)
    network = getattr(plain, {"vit": "Vit"}.get(case["network"], case["network"]))().to(device)
    loop = plain.Loop(network, case["optimizer"], MEMORY_FORMATS[case["memory_format"]])
    session = Session(plan, device)
    session.set_lr(LR)
    images, labels = random_batch(plan, device)
    sides: dict[str, Callable[[], object]] = {
        "specc": lambda: session.train_step(images, labels), "loop": lambda: loop.step(images, labels)
    }  # fmt: skip
    for step in sides.values():
        for _ in range(WARM if device.type == "cuda" else 1):
            step()
    return sides


def alternating(
    sides: dict[str, Callable[[], object]], device: torch.device, turns: int, steps: int
) -> dict[str, list[float]]:
    """Seconds of a step of each side, turn by turn."""
    on_gpu = device.type == "cuda"
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(turns):
        for name in sides if turn % 2 else reversed(sides):
            if on_gpu:
                torch.cuda.synchronize(device)
            began = time.perf_counter() if on_gpu else time.process_time()
            for _ in range(steps):
                sides[name]()
            if on_gpu:
                torch.cuda.synchronize(device)
            found[name].append(((time.perf_counter() if on_gpu else time.process_time()) - began) / steps)
    return found

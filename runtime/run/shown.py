"""What a run says of itself while it goes on, whoever shows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from specc.diagnostics.notices import Watcher
from specc.language.schema import show_bytes

from .state import RunState


def nothing() -> list[str]:
    """Nothing is known."""
    return []


@dataclass(frozen=True, slots=True)
class Facts:
    """What does not change while a run goes on, and whom to ask for what does."""

    batch: int = 0  # samples a step
    memory: Callable[[], list[str]] = nothing
    stopping: Callable[[], bool] = bool  # whether somebody has asked it to end
    samples: str = "images"  # what they are called


class Silence(Watcher):
    """Who is told how a run goes; this one shows nothing of it."""

    def run_begins(self, facts: Facts) -> None:
        """All is ready for the first step."""

    def epoch_begins(self, epoch: int, steps: int) -> None:
        """An epoch (from 0) of so many steps begins, or goes on where it was left."""

    def step_done(self, step: int, losses: Mapping[str, Tensor | float] | None) -> None:
        """So many steps of the epoch are done; the units' losses are given where the device has been waited for."""

    def epoch_ends(self, row: dict[str, Any]) -> None:
        """An epoch's metrics."""

    def say(self, text: str) -> None:
        """Something that a person should know at once."""

    def close(self) -> None:
        """The run is over."""


def facts_of(run: RunState) -> Facts:
    """What is known of a run before its first step."""
    return Facts(run.batch, lambda: memory_of(run), lambda: bool(run.interruption.wanted), run.plan.config.samples)


def memory_of(run: RunState) -> list[str]:
    """What is known of a run's memory, and of what kind that is.

    A GPU's allocator knows how much it has given; on a CPU the tensors of the first steps are counted, and after that
    nobody knows but of the process as a whole.
    """
    budget = run.plan.config.budget
    most = f" of {show_bytes(budget.memory)}" if budget else ""
    if run.device.type == "cuda":
        now, peak = torch.cuda.memory_allocated(run.device), torch.cuda.max_memory_allocated(run.device)
        peak = max(peak, run.meter.peak_bytes)
        return [f"memory {show_bytes(now)} now", f"at most {show_bytes(peak)}{most} (allocator)"]
    counted = run.meter.peak_bytes
    tensors = [f"tensors at most {show_bytes(counted)}{most} (counted)"] if counted else []
    return [*tensors, *_of_process()]


def _of_process() -> list[str]:
    with suppress(OSError, ValueError, IndexError, AttributeError):  # of a system that has no such file
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return [f"whole process {show_bytes(pages * os.sysconf('SC_PAGE_SIZE'))} now"]
    return []

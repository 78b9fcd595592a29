"""How long steps take, on devices that work while the host goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


class WallClock:
    """How long a run has taken in all, by this process and, of those before it, what led to their last checkpoint."""

    def __init__(self) -> None:
        self.before: float | None = 0.0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float | None:
        """So far; None where nobody knows what was before."""
        return None if self.before is None else self.before + time.monotonic() - self._began


class StepClock:
    """Times steps without making them wait: a GPU is given marks to set, and read when the epoch is over."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: list[float] = []
        self._marks: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def time(self, step: Callable[[], T]) -> T:
        """Run a step and remember its time."""
        if self.device.type == "cuda":
            return self._on_cuda(step)
        began = time.perf_counter()
        result = step()
        self.seconds.append(time.perf_counter() - began)
        return result

    def _on_cuda(self, step: Callable[[], T]) -> T:
        stream = torch.cuda.current_stream(self.device)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record(stream)
        result = step()
        end.record(stream)
        self._marks.append((begin, end))
        return result

    def collect(self) -> None:
        """Read the marks, which waits for the device; one that has died of an error tells nothing."""
        marks, self._marks = self._marks, []
        if not marks:
            return
        try:
            torch.cuda.synchronize(self.device)
            self.seconds += [begin.elapsed_time(end) / 1e3 for begin, end in marks]
        except RuntimeError:
            return

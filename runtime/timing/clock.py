"""Measures how long a call takes on a device."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

Call = Callable[[], object]


class Clock:
    """Of a processor with one thread the time that it worked, which other programs lengthen least; else of the wall."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        alone = device.type == "cpu" and torch.get_num_threads() == 1
        self.now: Callable[[], float] = time.process_time if alone else time.perf_counter

    def wait(self) -> None:
        """Until the device has done all that it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def once(self, call: Call, repeats: int = 1) -> float:
        """Seconds of one call, of so many in a row."""
        self.wait()
        began = self.now()
        for _ in range(repeats):
            call()
        self.wait()
        return (self.now() - began) / repeats

    def seconds(self, call: Call, *, least: float = 7e-4, rounds: int = 4) -> float:
        """The best of a few rounds, each of as many calls as take some time, after one that warms up."""
        call()
        first = max(self.once(call), 1e-7)
        repeats = max(1, min(1000, round(least / first)))
        return min(self.once(call, repeats) for _ in range(rounds))

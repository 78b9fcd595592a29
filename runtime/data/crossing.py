"""The way of a batch to its device: to a GPU from pinned memory, so that the host need not wait for the steps before.

A copy from memory that may move waits until the device has come to it. From pinned memory it is asked for like any
other work, and the host goes on with the next batch while the device computes: it is ahead by `AHEAD` batches at most,
or pinned memory would grow. They lie on the host: on the device there is one batch, as the prediction has it.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import torch
from torch import Tensor

from specc.diagnostics.notices import notice

AHEAD = 2


class Mark(Protocol):
    """A place in what a device has to do."""

    def synchronize(self) -> None:
        """Wait until it is reached."""


class Cuda:
    """What is asked of a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def pinned(self, tensor: Tensor) -> Tensor:
        """A copy in pinned memory, which torch keeps until it is read."""
        return tensor.pin_memory()

    def mark(self) -> Mark:
        """After all that was asked for so far."""
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self.device))
        return event


class Crossing:
    """Takes batches to a device."""

    def __init__(self, device: torch.device, by: Cuda | None = None) -> None:
        self.device = device
        self._by = by or (Cuda(device) if device.type == "cuda" else None)
        self._marks: deque[Mark] = deque()

    def __call__(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """The parts of a batch over there."""
        if self._by is None:
            return tuple(part.to(self.device) for part in parts)
        while len(self._marks) >= AHEAD:
            self._marks.popleft().synchronize()
        try:
            parts = tuple(map(self._by.pinned, parts))
        except RuntimeError:  # the system allows no more of it
            self._by = None
            notice("note: no memory can be pinned here, so that each batch waits for the step before it")
            return self(*parts)
        there = tuple(part.to(self.device, non_blocking=True) for part in parts)
        self._marks.append(self._by.mark())
        return there

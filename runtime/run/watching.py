"""Watches the instructions of a few steps: the memory of each while a step is metered, and the time of each."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import torch

from specc.plan import Instruction

from ..engine.executor import Executor

Mark = float | torch.cuda.Event
TIMED = 16  # steps whose instructions are timed: enough for a median, and too few to slow a training


@contextmanager
def told(executor: Executor, begins: Callable[[Instruction], None], ends: Callable[[], None]) -> Iterator[None]:
    """Hear of every instruction before it runs, and of the end of the last; who listens already hears it as well."""
    before, done = executor.observer, executor.done

    def begin(instruction: Instruction) -> None:
        begins(instruction)
        if before is not None:
            before(instruction)

    executor.observer, executor.done = begin, ends
    try:
        yield
    finally:
        if executor.observer is begin:
            executor.observer = before
        executor.done = done


@dataclass
class PeakWatch:
    """The instruction at which the highest peak of the metered steps was reached, and those of all of the last one."""

    peak: int = 0
    instruction: Instruction | None = None
    peaks: list[int] = field(default_factory=list)  # of a step that ended early as far as it came

    @contextmanager
    def watching(self, executor: Executor, reading: Callable[[], int]) -> Iterator[None]:
        """Ask between instructions for the highest point since it was asked last."""
        running: Instruction | None = None

        def begin(instruction: Instruction) -> None:
            nonlocal running
            self._look(running, reading())
            running = instruction

        self.peaks = []
        with told(executor, begin, lambda: self._look(running, reading())):
            yield

    def _look(self, done: Instruction | None, peak: int) -> None:
        if done is None:  # before the first one
            return
        self.peaks.append(peak)
        if peak > self.peak:
            self.peak, self.instruction = peak, done


class InstructionClock:
    """How long every instruction takes, without making a device wait: a GPU is given marks, which are read later."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.steps: list[list[float]] = []  # of every step that was timed: each instruction, and what comes after them
        self._marks: list[list[Mark]] = []

    @property
    def enough(self) -> bool:
        """Whether no further step has to be timed."""
        return len(self._marks) + len(self.steps) >= TIMED

    @contextmanager
    def timing(self, executor: Executor) -> Iterator[None]:
        """Time the instructions of a step, if that is still needed; one that ends early tells nothing."""
        if self.enough:
            yield
            return
        marks: list[Mark] = []
        with told(executor, lambda _: marks.append(self._mark()), lambda: marks.append(self._mark())):
            yield
        if len(marks) == len(executor.plan.instructions) + 1:  # else somebody made it deaf on the way
            self._marks.append([*marks, self._mark()])

    def _mark(self) -> Mark:
        if self.device.type != "cuda":
            return time.perf_counter()
        mark = torch.cuda.Event(enable_timing=True)
        mark.record(torch.cuda.current_stream(self.device))
        return mark

    def medians(self) -> list[float]:
        """The seconds of each instruction, and last of what comes after them; waits for the device.

        Nothing where no step was timed, or where the device has died of an error.
        """
        marks, self._marks = self._marks, []
        try:
            if marks and self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            self.steps += [_between(each) for each in marks]
        except RuntimeError:
            return []
        return [statistics.median(each) for each in zip(*self.steps, strict=True)]


def _between(marks: Sequence[Mark]) -> list[float]:
    return [_seconds(first, second) for first, second in pairwise(marks)]


def _seconds(first: Mark, second: Mark) -> float:
    if isinstance(first, float):
        assert isinstance(second, float)
        return second - first
    assert not isinstance(second, float)
    return float(first.elapsed_time(second)) / 1e3

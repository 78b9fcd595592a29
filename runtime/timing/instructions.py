"""What instructions of real steps take beside their works: the interpreter, the optimizer's wrapping, colder caches."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import torch

from specc.device.samples import candidates
from specc.plan import Plan
from specc.profiles.model import Overhead, Profile
from specc.timing import step_time

from ..engine.device import kind
from ..engine.session import Session
from ..memory.measure import random_batch
from .clock import Clock

STEPS = 9  # of each plan, after two that warm up
MOST = 2e-4  # seconds beside the works of an instruction
LEAST = 2e-5  # seconds of works from which their factor can be told


def with_instructions(profile: Profile, device: torch.device, clock: Clock) -> Profile:
    """The profile with what every kind of instruction takes, in steps of the plans that margins are measured with."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)  # predicted and measured
    for candidate in candidates(kind(device)):
        try:
            measured = _measured(candidate.plan, device, clock)
        except RuntimeError:  # too little memory
            continue
        predicted = step_time(candidate.plan, replace(profile, overheads={})).instructions
        for instruction, own, seconds in zip(candidate.plan.instructions, predicted, measured, strict=True):
            found[type(instruction).__name__].append((own, seconds))
    return replace(profile, overheads={kind: overhead(pairs) for kind, pairs in found.items()})


def overhead(pairs: list[tuple[float, float]]) -> Overhead:
    """A factor on the works, and the time beside them, which is all there is where works take next to nothing.

    What is beside the works is bounded: most of what an instruction takes grows with them.

    >>> overhead([(1e-3, 1.3e-3), (2e-3, 2.5e-3), (4e-3, 4.9e-3)])
    Overhead(seconds=9.75e-05, factor=1.2)
    >>> overhead([(0.0, 3e-5), (0.0, 5e-5)])
    Overhead(seconds=4e-05, factor=1.0)
    """
    large = [pair for pair in pairs if pair[0] >= LEAST]
    if len(large) < 2:
        return Overhead(_rounded(statistics.median(seconds - own for own, seconds in pairs)), 1.0)
    least = min(seconds for _, seconds in large)
    options = [_line(large, min(share / 40 * least, MOST)) for share in range(40)]
    best = min(options, key=lambda line: _error(large, line))
    return Overhead(_rounded(best[0]), _rounded(best[1]))


def _line(pairs: list[tuple[float, float]], seconds: float) -> tuple[float, float]:
    return seconds, statistics.median((took - seconds) / own for own, took in pairs)


def _error(pairs: list[tuple[float, float]], line: tuple[float, float]) -> float:
    return sum(abs((line[0] + line[1] * own) / took - 1) for own, took in pairs)


def _rounded(value: float) -> float:
    return float(f"{max(value, 0.0):.3g}")


def _measured(plan: Plan, device: torch.device, clock: Clock) -> list[float]:
    """The median of each instruction's time."""
    session = Session(plan, device)
    session.set_lr(0.0)
    images, labels = random_batch(plan, device)
    marks: list[float] = []

    def mark(*_: object) -> None:
        clock.wait()
        marks.append(clock.now())

    session.executor.observer, session.executor.done = mark, mark
    steps = []
    for _ in range(STEPS + 2):
        marks.clear()
        session.train_step(images, labels)
        steps.append([end - begin for begin, end in pairwise(marks)])
    return [statistics.median(times) for times in zip(*steps[2:], strict=True)]

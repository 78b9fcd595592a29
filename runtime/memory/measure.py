"""Measures a plan's step on random images: peak memory and time."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch

from specc.plan import Plan

from ..engine.heap import keep_freed_memory
from ..engine.model import memory_format_of
from ..engine.session import Session
from .meter import Meter


@dataclass(frozen=True, slots=True)
class Measured:
    """What one training step takes on a device."""

    device: str
    peak_bytes: int
    seconds: float  # median


def measure(plan: Plan, device: torch.device, steps: int) -> Measured:
    """Two metered steps, then `steps` timed ones."""
    if device.type == "cpu":
        keep_freed_memory()  # as a run does
    session = Session(plan, device)
    images, labels = random_batch(plan, device)
    meter = Meter(device, session.resident)
    for _ in range(2):
        meter.measure(lambda: session.train_step(images, labels), (images, labels))
    return Measured(str(device), meter.peak_bytes, statistics.median(_timed(session, images, labels, steps)))


def random_batch(plan: Plan, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised images of noise, or tokens, and something to learn of them, on the device, as a loader gives them."""
    generator = torch.Generator().manual_seed(0)
    batch = plan.config.data.batch_size
    shape, vocabulary = (batch, *plan.data.shape), plan.data.vocabulary
    if vocabulary:
        images = torch.randint(vocabulary, shape, generator=generator).to(device)
    else:
        mean, std = (torch.tensor(values).view(plan.data.along) for values in (plan.data.mean, plan.data.std))
        images = ((torch.rand(shape, generator=generator) - mean) / std).to(
            device, memory_format=memory_format_of(plan)
        )
    target = plan.config.learns.target
    drawn = torch.randint(target.bound(plan.data), (batch, *target.shape(plan.data)), generator=generator)
    return images, drawn.to(device, getattr(torch, target.dtype))


def _timed(session: Session, images: torch.Tensor, labels: torch.Tensor, steps: int) -> list[float]:
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        session.train_step(images, labels)
        if session.device.type == "cuda":
            torch.cuda.synchronize(session.device)
        seconds.append(time.perf_counter() - began)
    return seconds

"""Does it fit: a plan's steps replayed in the memory of one device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..memory.caching import OutOfDevice
from ..plan import Plan
from ..profiles import Profile
from .estimate import DeviceBytes, Measured, contexts, device_bytes, steps_on
from .model import MODEL, Model

Verdict = Literal["fits", "barely fits", "may not fit", "does not fit"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a plan fits a device; it may not where that depends on how much of CUDA is loaded."""

    profile: Profile
    capacity: int  # bytes of the device
    found: DeviceBytes
    verdict: Verdict

    @property
    def left(self) -> int:
        """Bytes that stay free; below zero: that are missing."""
        return self.capacity - self.found.bytes


def answer(plan: Plan, profile: Profile, measured: Measured | None = None, model: Model = MODEL) -> Answer | None:
    """Whether the plan fits the device of a profile; None where nobody knows how much memory that has.

    Near its end the allocator gives free segments back before it runs out, so that a figure a little above the
    device's memory may still fit: the steps are replayed under that limit.
    """
    capacity = profile.memory_bytes
    if capacity is None or profile.kind != "cuda":
        return None
    found = device_bytes(plan, profile.device, measured, model)
    most, least = contexts(measured, model)
    verdict: Verdict = "does not fit"
    if found.high <= capacity:
        verdict = "fits"
    elif runs(plan, profile, most, model):
        verdict = "barely fits"
    elif runs(plan, profile, least, model):
        verdict = "may not fit"
    return Answer(profile, capacity, found, verdict)


def runs(plan: Plan, profile: Profile, context: int, model: Model = MODEL) -> bool:
    """Whether the allocator gets through the steps with what such a context leaves of the device.

    What it holds beyond the replay elsewhere (`growth`) it can give back, so that is no part of this.
    """
    limit = (profile.memory_bytes or 0) - context
    try:
        steps_on(plan, profile.device, model).run(limit)
    except OutOfDevice:
        return False
    return True

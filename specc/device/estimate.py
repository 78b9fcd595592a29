"""The bytes that a process takes on a CUDA device, in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..memory.prediction import predicted_for
from ..memory.replay import NO_LIBRARIES, Libraries, Steps, recorded_steps
from ..plan import Plan
from .model import MODEL, Model

Source = Literal["public measurements", "calibrated"]


@dataclass(frozen=True, slots=True)
class DeviceBytes:
    """What is taken: the predicted peak, what the allocator adds, what libraries take, and the context."""

    tensors: int
    allocator: int
    libraries: int
    context: int
    low: int
    high: int
    source: Source

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.tensors + self.allocator + self.libraries + self.context


def device_bytes(plan: Plan, device: str = "", margin: int | None = None, model: Model = MODEL) -> DeviceBytes:
    """What a plan takes on CUDA.

    `margin` is what was measured on this device beyond tensors, before caching; without it the workspaces are those of
    the model that was fitted to public measurements, and so is the spread. `device` is its name.
    """
    plan = predicted_for(plan, "cuda")
    tensors = plan.memory.peak_bytes
    plain = reserved(plan)
    found = int(grown(reserved(plan, model.libraries(device)), model)) if margin is None else plain + margin
    libraries = max(found - plain, 0)
    total = found + model.context_bytes
    low = min(int(total * model.low), found + model.least_context_bytes)
    return DeviceBytes(
        tensors, found - libraries - tensors, libraries, model.context_bytes, low, int(total * model.high),
        "public measurements" if margin is None else "calibrated",
    )  # fmt: skip


def reserved(plan: Plan, libraries: Libraries = NO_LIBRARIES) -> int:
    """The most that the caching allocator reserves of the device."""
    return recorded_steps(plan, libraries).run().highest_reserved


def grown(size: int, model: Model) -> float:
    """With what the replay does not know of."""
    return size * (1 + model.growth)


def steps_on(plan: Plan, device: str, model: Model = MODEL) -> Steps:
    """The steps of a plan on a device of this name."""
    return recorded_steps(predicted_for(plan, "cuda"), model.libraries(device))

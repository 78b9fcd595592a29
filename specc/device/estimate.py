"""The bytes that a process takes on a CUDA device, in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from ..memory.prediction import predicted_for
from ..memory.replay import NO_LIBRARIES, Libraries, Steps, recorded_steps
from ..plan import Plan
from .model import MODEL, Model

Source = Literal["public measurements", "calibrated"]


class Measured(NamedTuple):
    """What a calibration found on a device: beyond a plan's tensors, and its context where that was looked at."""

    margin: int
    context: int | None = None


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


def device_bytes(plan: Plan, device: str = "", measured: Measured | None = None, model: Model = MODEL) -> DeviceBytes:
    """What a plan takes on CUDA.

    What was measured on this device takes the place of the workspaces, and of the context, of the model that was fitted
    to public measurements. The spread is the model's. `device` is its name.
    """
    plan = predicted_for(plan, "cuda")
    tensors, plain = plan.memory.peak_bytes, reserved(plan)
    found = plain + measured.margin if measured else int(grown(reserved(plan, model.libraries(device)), model))
    libraries = max(found - plain, 0)
    most, least = contexts(measured, model)
    low = min(int((found + most) * model.low), found + least)
    return DeviceBytes(
        tensors, found - libraries - tensors, libraries, most, low, int((found + most) * model.high),
        "calibrated" if measured else "public measurements",
    )  # fmt: skip


def contexts(measured: Measured | None, model: Model) -> tuple[int, int]:
    """The context as it is taken to be, and the least that it may be."""
    if measured is None or measured.context is None:
        return model.context_bytes, model.least_context_bytes
    return measured.context, measured.context


def reserved(plan: Plan, libraries: Libraries = NO_LIBRARIES) -> int:
    """The most that the caching allocator reserves of the device."""
    return recorded_steps(plan, libraries).run().highest_reserved


def grown(size: int, model: Model) -> float:
    """With what the replay does not know of."""
    return size * (1 + model.growth)


def steps_on(plan: Plan, device: str, model: Model = MODEL) -> Steps:
    """The steps of a plan on a device of this name."""
    return recorded_steps(predicted_for(plan, "cuda"), model.libraries(device))

"""What a process takes on its device, as people and machines read it beside the predicted peak."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..device import Answer, DeviceBytes, Verdict, answer, device_bytes
from ..margins import Calibration, current
from ..plan import Plan
from ..profiles import Profile

_WHY: dict[Verdict, str] = {
    "fits": "",
    "barely fits": "; the allocator gets by with what is there",
    "may not fit": "; it depends on how many kernels CUDA loads",
    "does not fit": "",
}


def device_lines(plan: Plan, profile: Profile | None = None) -> Iterator[str]:
    """What `nvidia-smi` will show, what it is made of, and whether it fits the device of a profile."""
    found, said = _asked(plan, profile)
    if found is None:
        return
    spread = f"{_about(found.low)} to {_about(found.high)}"
    on = profile.device if profile else "the device"
    yield f"about {_about(found.bytes)} on {on} ({spread}), as nvidia-smi shows it"
    parts = ("tensors", "allocator", "libraries", "context")
    shown = ", ".join(f"{name} {_about(getattr(found, name))}" for name in parts)
    yield f"  {shown}; by {'a calibration and ' * (found.source == 'calibrated')}public measurements"
    if said is not None:
        yield verdict(said)


def verdict(said: Answer) -> str:
    """Whether it fits, in words."""
    where = f"{said.profile.device} with {_about(said.capacity)}"
    spare = f"about {_about(abs(said.left))} {'to spare' if said.left > 0 else 'too much'}"
    return f"{said.verdict} {where}: {spare}{_WHY[said.verdict]}"


def _about(size: int) -> str:
    """As many digits as mean something."""
    return f"{size / 2**30:.1f} GiB" if size >= 1 << 30 else f"{size / 2**20:.0f} MiB"


def device_document(plan: Plan, profile: Profile | None = None) -> dict[str, Any] | None:
    """The same for machines; None on a CPU."""
    found, said = _asked(plan, profile)
    if found is None:
        return None
    parts = {name: getattr(found, name) for name in ("tensors", "allocator", "libraries", "context", "low", "high")}
    document = {"bytes": found.bytes, **parts, "source": found.source}
    fits = {"verdict": said.verdict, "memory_bytes": said.capacity} if said else None
    return document | {"profile": profile.name if profile else None, "fits": fits}


def _asked(plan: Plan, profile: Profile | None) -> tuple[DeviceBytes | None, Answer | None]:
    """On a GPU, where the plan is for one or the profile is of one."""
    if (profile.kind if profile else plan.memory.device) != "cuda":
        return None, None
    measured = _calibration(profile)
    margin = measured.margin(plan.memory.peak_bytes) if measured else None
    said = answer(plan, profile, margin) if profile else None
    return said.found if said else device_bytes(plan, measured.device if measured else "", margin), said


def _calibration(profile: Profile | None) -> Calibration | None:
    """The margin that was measured on the device; where none is named, on one that is here."""
    return next((each for each in current() if profile is None or each.device == profile.device), None)

"""What a process takes on its device, as people and machines read it beside the predicted peak."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..device import Answer, DeviceBytes, Measured, Verdict, answer, device_bytes
from ..plan import Plan
from ..profiles import Profile, with_margins

_TIGHT: dict[Verdict, str] = {
    "barely fits": "the allocator has to give back what it caches",
    "may not fit": "it depends on how many kernels CUDA loads",
}


def device_lines(plan: Plan, profile: Profile | None = None) -> Iterator[str]:
    """What `nvidia-smi` will show, what it is made of, and whether it fits the device of a profile."""
    found, said = asked(plan, profile)
    if found is None:
        return
    on = profile.device if profile else "the device"
    yield f"about {_about(found.bytes)} on {on} ({_gib(found.low)} to {_gib(found.high)}), as nvidia-smi shows it"
    parts = {"tensors": found.tensors, "allocator": found.allocator, "libraries": found.libraries}
    small = found.tensors < 100 << 20  # of which GiB would be a row of noughts
    shown = ", ".join(f"{name} {_about(size) if small else _gib(size)}" for name, size in parts.items())
    by = "a calibration and public" if found.source == "calibrated" else "public"
    yield f"  {shown} and context {_gib(found.context)} GiB, by {by} measurements"
    if said is not None:
        yield verdict(said)


def verdict(said: Answer) -> str:
    """Whether it fits, in words."""
    tight = _TIGHT.get(said.verdict) if said.left < 0 or said.verdict == "may not fit" else None
    how = tight or f"about {_about(abs(said.left))} {'too much' if said.left < 0 else 'to spare'}"
    return f"{said.verdict} {said.profile.device} with {_about(said.capacity)}: {how}"


def _about(size: int) -> str:
    """As many digits as mean something."""
    return f"{size / 2**30:.1f} GiB" if size >= 1 << 30 else f"{size / 2**20:.0f} MiB"


def _gib(size: int) -> str:
    """In GiB."""
    number = size / 2**30
    return f"{number:.1f}" if number >= 1 else f"{number:.2f}"


def device_document(plan: Plan, profile: Profile | None = None) -> dict[str, Any] | None:
    """The same for machines; None on a CPU."""
    found, said = asked(plan, profile)
    if found is None:
        return None
    parts = {name: getattr(found, name) for name in ("tensors", "allocator", "libraries", "context", "low", "high")}
    document = {"bytes": found.bytes, **parts, "source": found.source}
    fits = {"verdict": said.verdict, "memory_bytes": said.capacity} if said else None
    return document | {"profile": profile.name if profile else None, "fits": fits}


def asked(plan: Plan, profile: Profile | None) -> tuple[DeviceBytes | None, Answer | None]:
    """What is taken of a GPU, by a profile's where one is given, and whether that fits it; nothing on a CPU."""
    if (profile.kind if profile else plan.memory.device) != "cuda":
        return None, None
    found = next((each for each in with_margins() if profile is None or each.device == profile.device), None)
    context = found.margin.context_bytes if found and found.margin else None
    measured = Measured(found.beyond(plan.memory.peak_bytes), context) if found else None
    said = answer(plan, profile, measured) if profile else None
    return said.found if said else device_bytes(plan, found.device if found else "", measured), said

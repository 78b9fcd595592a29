"""The time of a step beside a plan, as people and machines read it."""

from __future__ import annotations

from typing import Any

from ..plan import Plan
from ..profiles import Profile
from ..timing import StepTime, step_time

COMMAND = "specc doctor --calibrate"


def timed(plan: Plan, profile: Profile | None) -> StepTime | None:
    """How long a step takes, where a device is known."""
    return step_time(plan, profile) if profile else None


def seconds_shown(seconds: float) -> str:
    """A duration in the unit in which it is neither long nor small.

    >>> seconds_shown(0.01234), seconds_shown(1.5), seconds_shown(0.0000213)
    ('12.3 ms', '1.5 s', '21.3 µs')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def rate_shown(rate: float) -> str:
    """Images a second.

    >>> rate_shown(12345.6), rate_shown(3.14159)
    ('12,346', '3.14')
    """
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def time_line(plan: Plan, found: StepTime | None) -> str:
    """The predicted time, and where it is from; or how to come by one."""
    if found is None:
        named = " --device cpu" if plan.memory.device == "cpu" else ""
        return f"step time: no device is known: {COMMAND}{named}, or --device-profile NAME"
    rate = rate_shown(found.images_per_second)
    waits = f", of which it waits {seconds_shown(found.waits)} for its host" if found.beside else ""
    return (f"predicted step {seconds_shown(found.seconds)}, {rate} {plan.config.samples} a second on {found.device} "
            f"({found.source}){waits}")  # fmt: skip


def time_document(found: StepTime | None) -> dict[str, Any] | None:
    """The time for machines; null without a profile."""
    if found is None:
        return None
    return {
        "step_seconds": found.seconds, "images_per_second": found.images_per_second,
        "source": found.source.replace(" ", "_"), "profile": found.profile, "device": found.device,
        "instructions": list(found.instructions), "by_kind": dict(found.by_kind),
        "host": found.beside and {
            "waits_seconds": found.waits, "inwards_seconds": found.beside.inwards,
            "outwards_seconds": found.beside.outwards, "work_seconds": found.beside.work,
        },
    }  # fmt: skip


def measured_document(seconds: float, images: int, device: str) -> dict[str, Any]:
    """What was measured, in the same form."""
    return {"step_seconds": seconds, "images_per_second": images / seconds, "source": "measured", "device": device}

"""Time by a device's data sheet: arithmetic or memory, whichever takes longer, and a fixed time a call."""

from __future__ import annotations

from ..profiles import Profile
from ..profiles.model import Precision, Rate
from .work import Work

_RATES: dict[str, Rate] = {
    "conv": "conv", "conv_transpose": "conv", "linear": "matmul", "mixing": "matmul", "periodic_basis": "matmul",
    "opaque": "conv",
}  # fmt: skip


def seconds(work: Work, profile: Profile, precision: Precision) -> float:
    """How long a piece of work takes."""
    used: Precision = precision if work.width < 4 else "fp32"
    arithmetic = work.flops / profile.rate(_RATES.get(work.what, "other"), used)
    return max(arithmetic, work.moved / profile.bytes_per_second) + work.calls * profile.launch_seconds

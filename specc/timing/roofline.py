"""Time by a device's data sheet: arithmetic or memory, whichever takes longer, and a fixed time a call."""

from __future__ import annotations

from ..graph.ops import Conv, ConvTranspose
from ..memory.stepping import HOST
from ..plan.moving import MOVING
from ..profiles import Profile
from ..profiles.model import Efficient, Precision, Rate
from .work import Work

_RATES: dict[str, Rate] = {
    "conv": "conv", "conv_transpose": "conv", "linear": "matmul", "mixing": "matmul", "periodic_basis": "matmul",
    "opaque": "matmul",
}  # fmt: skip


def seconds(work: Work, profile: Profile, precision: Precision) -> float:
    """How long a piece of work takes."""
    if work.what in MOVING:
        return work.moved / profile.from_the_host + work.calls * profile.launch_seconds
    if work.what.startswith(HOST):
        return work.moved / profile.of_the_host + work.calls * profile.launch_seconds
    used: Precision = precision if work.width < 4 else "fp32"
    grouped = groups_of(work)
    rate = profile.rate(rate_of(work), used, None if grouped == "depthwise" else grouped)
    moving = profile.moving("depthwise" if grouped == "depthwise" else "bandwidth")
    return max(work.flops / rate, work.moved / moving) + work.calls * profile.launch_seconds


def rate_of(work: Work) -> Rate:
    """By which of a device's rates it is computed."""
    return _RATES.get(work.what, "other")


def groups_of(work: Work) -> Efficient | None:
    """What kind of grouped convolution it is; None of all that is none.

    Libraries have fast kernels for groups whose channels are a power of two.
    """
    op = work.node.op if work.node else None
    if not isinstance(op, Conv | ConvTranspose) or op.groups == 1:
        return None
    assert work.node is not None
    channels = work.node.in_shapes[0][0] // op.groups
    if channels == 1:
        return "depthwise"
    return "grouped" if channels & (channels - 1) == 0 else "odd groups"

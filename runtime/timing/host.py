"""How fast numbers come from the host of a GPU and go there, and how fast the host makes an optimizer's steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from specc.profiles.model import Profile

from .clock import Clock

BYTES = 256 << 20
_READ_AND_WRITTEN = 7  # numbers of AdamW's, of each parameter: four are read, three are written


@dataclass(frozen=True, slots=True)
class Ways:
    """Bytes a second."""

    inwards: float
    outwards: float
    steps: float  # of what they read and write

    @property
    def slower(self) -> float:
        """Of the two directions."""
        return min(self.inwards, self.outwards)


def ways(device: torch.device, clock: Clock, size: int = BYTES) -> Ways:
    """From and to memory that is never paged out, where there is a GPU."""
    own = torch.zeros(size // 4, pin_memory=device.type == "cuda")
    there = torch.zeros(size // 4, device=device)
    parameter = nn.Parameter(torch.zeros(size // 4))
    parameter.grad = torch.zeros(size // 4)
    return Ways(
        size / clock.seconds(lambda: there.copy_(own, non_blocking=True)),
        size / clock.seconds(lambda: own.copy_(there, non_blocking=True)),
        _READ_AND_WRITTEN * size / clock.seconds(torch.optim.AdamW([parameter], fused=True).step),
    )


def with_host(profile: Profile, device: torch.device, clock: Clock) -> Profile:
    """The profile of a GPU with what was measured; a processor has no host, and some hosts pin no memory."""
    if device.type != "cuda":
        return profile
    try:
        found = ways(device, clock)
    except RuntimeError:
        return profile
    moves, steps = (float(f"{rate:.4g}") for rate in (found.slower, found.steps))
    return replace(profile, host_bandwidth=moves, host_memory_bandwidth=steps)

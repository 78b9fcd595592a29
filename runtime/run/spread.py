"""Over which devices a run is spread when it begins, as its directory tells it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import torch

from specc.layout import stages_on
from specc.plan import Plan
from specc.profiles import here

from .team import Team

Spread = Mapping[str, Any] | None


def spread_of(plan: Plan, team: Team, device: torch.device) -> Spread:
    """How many ranks there are, what each has, on which machine, and what moves tensors; None of one device."""
    if team.alone:
        return None
    devices = plan.config.devices
    return {
        "ranks": team.count,
        "data_parallel": devices.data_parallel,
        "block_parallel": devices.block_parallel,
        "mode": devices.mode,
        "shard": devices.shard,
        "stages": team.by_first(lambda: list(stages_on(plan, here(plan.memory.device)))),
        "backend": "nccl" if device.type == "cuda" else "gloo",
        "hosts": team.gather(socket.gethostname()),
    }

"""What the machine offers."""

from __future__ import annotations

import os
from typing import Any

import torch

from specc.profiles import sheets, stored
from specc.system.plugins import described
from specc.views.profiles import summary

from ..engine.device import first_line
from .environment import environment


def facts() -> dict[str, Any]:
    """Versions, processor, and every CUDA device."""
    found = environment()
    for of_a_run in ("command", "git", "gpu"):
        found.pop(of_a_run)
    found["plugins"] = described()
    found["cpus"] = os.cpu_count()
    found["gpus"] = [_gpu(index) for index in range(torch.cuda.device_count())]
    found["profiles"] = [summary(profile) for profile in (*stored(), *sheets())]
    return found


def _gpu(index: int) -> str:
    """A driver may count devices that PyTorch then cannot open, being too old for it, for example."""
    try:
        properties = torch.cuda.get_device_properties(index)
    except (RuntimeError, AssertionError) as error:
        return f"GPU {index} cannot be used: {first_line(error)}"
    return f"{properties.name}, {properties.total_memory / 2**30:.1f} GiB"

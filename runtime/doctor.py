"""What the machine offers."""

from __future__ import annotations

import os
from typing import Any

import torch

from .rundir import environment


def facts() -> dict[str, Any]:
    """Versions, processor, and every CUDA device."""
    found = environment()
    found.pop("command")
    found["cpus"] = os.cpu_count()
    devices = range(torch.cuda.device_count())
    found["gpus"] = [
        f"{torch.cuda.get_device_name(i)}, {torch.cuda.get_device_properties(i).total_memory / 2**30:.1f} GiB"
        for i in devices
    ]
    return found

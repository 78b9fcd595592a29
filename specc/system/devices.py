"""Which device a step is predicted for, found without torch.

On CUDA gradients are added to in place, and a dropout's mask takes a byte a number; on a CPU live tensors are counted
under a dispatch mode, where both are otherwise. The command line predicts for the device that `specc run` would take.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Literal

Device = Literal["cpu", "cuda"]


def kind_of_device(name: str | None, gpu: int | None = None) -> Device | None:
    """The kind of device that ``--device`` or ``--gpu`` names, or the one that is here; None for an unknown name."""
    if gpu is not None:
        return "cuda"
    if name is None:
        return kind_found()
    kind, _, number = name.partition(":")
    if kind == "cpu" and not number:
        return "cpu"
    return "cuda" if kind == "cuda" and (number.isdecimal() or name == "cuda") else None


@cache
def kind_found() -> Device:
    """What `specc run` takes where nothing is said, as far as can be known without importing torch.

    A GPU counts where this torch was built for GPUs, the driver knows one and `CUDA_VISIBLE_DEVICES` hides not all.
    """
    return "cuda" if _torch_knows_gpus() and _visible() and (_nvidia_gpus() > 0 or Path("/dev/kfd").exists()) else "cpu"


def numbered() -> list[str]:
    """The GPUs that are here, as `--device` names them."""
    return [f"cuda:{number}" for number in range(_nvidia_gpus())] if kind_found() == "cuda" else []


def _torch_knows_gpus() -> bool:
    """Whether the torch that is installed was built for CUDA or ROCm; its `version.py` says so."""
    try:
        found = importlib.util.find_spec("torch")
        assert found is not None
        assert found.origin is not None
        text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except (AssertionError, ImportError, OSError, ValueError):
        return False
    return re.search(r"^(?:cuda|hip)\b[^=\n]*=\s*['\"]", text, re.MULTILINE) is not None


def _visible() -> bool:
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    return first != "" and not first.startswith("-")


def _nvidia_gpus() -> int:
    """How many GPUs the driver's management library counts; 0 where there is no driver."""
    name = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
    count = ctypes.c_uint(0)
    try:
        library = ctypes.CDLL(name)
        if library.nvmlInit_v2() != 0 or library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return int(count.value)

"""What the figures hold for: the device, its driver, the versions of the libraries.

    python -m benchmarks.gpu.machine DEVICE

prints it as JSON, from a process that the device may take down with it.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from typing import Any

import torch

from runtime.engine.device import choose, identity
from runtime.errors import RunError


def machine(device: torch.device) -> dict[str, Any]:
    """The device by its name, never by where it stands."""
    on_gpu = device.type == "cuda"
    return {
        **identity(device),
        "driver": driver(device.index or 0) if on_gpu else None,
        "bytes": torch.cuda.get_device_properties(device).total_memory if on_gpu else None,
        "python": platform.python_version(),
        "architecture": platform.machine(),
    }


def driver(index: int) -> str | None:
    """The version that `nvidia-smi` says; None where it is not there or says nothing."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", f"--id={index}"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return said.splitlines()[0] if said else None


def main() -> int:
    try:
        found = machine(choose(sys.argv[1], None))
    except RunError as error:
        found = {"error": str(error)}
    print(json.dumps(found, allow_nan=False))
    return int("error" in found)


if __name__ == "__main__":
    sys.exit(main())

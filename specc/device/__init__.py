"""What a training process takes of a device, as `nvidia-smi` shows it; nothing is measured here, no budget counts it.

Tensors, what the caching allocator adds to them, libraries' workspaces, and the context; and the plans by which a
calibration measures a device (`samples.py`).
"""

from __future__ import annotations

from .answer import Answer, Verdict, answer, runs
from .estimate import DeviceBytes, Measured, device_bytes
from .model import MODEL, Model

__all__ = ["MODEL", "Answer", "DeviceBytes", "Measured", "Model", "Verdict", "answer", "device_bytes", "runs"]

"""What a GPU's libraries take beyond the predicted tensors: measured once a device, never part of a prediction.

cuDNN and cuBLAS take workspaces whose sizes depend on the device, the versions and the shapes, and the allocator rounds
up; no model of tensors can know either. `specc doctor --calibrate` measures both; a plan shows them beside its
prediction, never inside it.
"""

from __future__ import annotations

from .calibration import Calibration, Sample, fit
from .store import current, folder, matching, newest, save, stored

__all__ = ["Calibration", "Sample", "current", "fit", "folder", "matching", "newest", "save", "stored"]

"""The constants of the default model, fitted to public measurements by `python -m benchmarks.gpu_tables --fit`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..memory.replay import Libraries

FILE = Path(__file__).with_name("model.json")


@dataclass(frozen=True, slots=True)
class Model:
    """What a device holds: the context, and what the allocator reserves, grown by what nobody knows of."""

    format_version: int
    workspace_share: float  # of a convolution's input and output: cuDNN's workspace where channels come first
    growth: float  # of what is reserved, beyond the replay
    context_bytes: int  # CUDA's context with the kernels that are loaded
    least_context_bytes: int  # ... where kernels are loaded as they are needed
    low: float  # of a figure: of 20 measured ones 19 are above it, ...
    high: float  # ... and 19 below this
    blas_bytes: Mapping[str, int]  # cuBLAS's workspace for a thread, by part of a device's name
    sources: Mapping[str, str]

    def libraries(self, device: str = "") -> Libraries:
        """What kernels take through the allocator on a device of this name."""
        named = [size for part, size in self.blas_bytes.items() if part and part in device]
        return Libraries(self.workspace_share, named[0] if named else self.blas_bytes[""])


MODEL = Model(**json.loads(FILE.read_text(encoding="utf-8")))

"""Process groups beside the default one, that wait no longer than it does: torch's own wait half an hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist


def new_group(ranks: Sequence[int] | None = None, backend: str | None = None) -> Any:
    """A group of some ranks, by default of all; all ranks make all groups, in one order."""
    return dist.new_group(None if ranks is None else list(ranks), timeout=patience(), backend=backend)


def patience() -> timedelta | None:
    """How long the default group waits; None for one that never does, as torch's fake one."""
    group: Any = dist.distributed_c10d._get_default_group()
    device = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
    found = getattr(getattr(group._get_backend(device), "options", None), "_timeout", None)
    return found if isinstance(found, timedelta) else None

"""The step time that is predicted for a plan on a device: from what was calibrated on it, and from its data sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch

from runtime.engine.device import describe, kind
from specc import profiles
from specc.plan import Plan
from specc.profiles import Profile
from specc.timing.step import step_time


def predicted(plan: Plan, device: torch.device) -> dict[str, Any]:
    """For a row; None where there is no such profile."""
    calibrated, sheet = profiles.here(kind(device)), sheet_of(describe(device), profiles.sheets())
    return {
        "calibrated_seconds": step_time(plan, calibrated).seconds if calibrated else None,
        "sheet_seconds": step_time(plan, sheet).seconds if sheet else None,
        "sheet": sheet.name if sheet else None,
    }


def sheet_of(device: str, sheets: Sequence[Profile]) -> Profile | None:
    """The data sheet of a device by the name that its driver has for it: the one of which most is in that name."""
    words = re.findall(r"[a-z]+\d*[a-z]*|\d+[a-z]*", device.lower().replace("rtx ", "rtx"))
    fitting = [sheet for sheet in sheets if set(sheet.name.split("-")) <= set(words)]
    return max(fitting, key=lambda sheet: (len(sheet.name.split("-")), "pcie" in sheet.name), default=None)

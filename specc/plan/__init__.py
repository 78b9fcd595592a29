"""What the compiler makes: networks, units, instructions, memory; JSON of it. Nothing here decides anything."""

from __future__ import annotations

from .model import (
    FORMAT_VERSION,
    Block,
    HeadPlan,
    Instruction,
    Kind,
    LinkPlan,
    Memory,
    Moment,
    Network,
    PatchGrid,
    Plan,
    Unit,
    branch_cotangent,
    branch_output,
    cotangent,
    features,
    tape,
)

__all__ = [
    "FORMAT_VERSION",
    "Block",
    "HeadPlan",
    "Instruction",
    "Kind",
    "LinkPlan",
    "Memory",
    "Moment",
    "Network",
    "PatchGrid",
    "Plan",
    "Unit",
    "branch_cotangent",
    "branch_output",
    "cotangent",
    "features",
    "tape",
]

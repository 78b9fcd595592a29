"""What the compiler makes: networks, units, instructions, memory; JSON of it. Nothing here decides anything."""

from __future__ import annotations

from .instructions import (
    Backward,
    Branch,
    BranchBackward,
    EmaUpdate,
    Extension,
    Forward,
    Free,
    Head,
    Instruction,
    Step,
)
from .model import FORMAT_VERSION, Block, HeadPlan, LinkPlan, Memory, Moment, Network, PatchGrid, Piece, Plan, Unit

__all__ = [
    "FORMAT_VERSION", "Backward", "Block", "Branch", "BranchBackward", "EmaUpdate", "Extension", "Forward", "Free",
    "Head", "HeadPlan", "Instruction", "LinkPlan", "Memory", "Moment", "Network", "PatchGrid", "Piece", "Plan", "Step",
    "Unit",
]  # fmt: skip

"""What the compiler makes: networks, units, instructions, memory; JSON of it. Nothing here decides anything."""

from __future__ import annotations

from .communication import Receive, ReceiveSources, Reduce, Send, SendSources
from .instructions import (
    Backward,
    Branch,
    BranchBackward,
    EmaUpdate,
    Entry,
    Extension,
    Forward,
    Free,
    Given,
    Head,
    Instruction,
    Outlet,
    Root,
    Step,
)
from .layout import Channel, Layout, divided
from .model import (
    FORMAT_VERSION,
    Block,
    HeadPlan,
    LinkPlan,
    Memory,
    Moment,
    Network,
    PatchGrid,
    Piece,
    Plan,
    Unit,
)
from .moving import Evict, Load

__all__ = [
    "FORMAT_VERSION", "Backward", "Block", "Branch", "BranchBackward", "Channel", "EmaUpdate", "Entry", "Evict",
    "Extension", "Forward", "Free", "Given", "Head", "HeadPlan", "Instruction", "Layout", "LinkPlan", "Load",
    "Memory", "Moment", "Network", "Outlet", "PatchGrid", "Piece", "Plan", "Receive", "ReceiveSources", "Reduce",
    "Root", "Send", "SendSources", "Step", "Unit", "divided",
]  # fmt: skip

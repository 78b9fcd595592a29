"""Where in the user's own code something happened: neither in torch nor in here."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import FrameType, TracebackType

import torch

NOT_OWN = (*(f"{Path(file).parent}/" for file in (torch.__file__, __file__)), "<")


def own_line(where: TracebackType | None) -> str:
    """The innermost line of the user's that an exception came through."""
    return _said(traceback.extract_tb(where))


def at_own_line(frame: FrameType, otherwise: str, before: str = "", after: str = "") -> str:
    """The innermost line of the user's that is being run."""
    said = _said(traceback.extract_stack(frame))
    return f"{before}{said}{after}" if said else otherwise


def _said(frames: traceback.StackSummary) -> str:
    own = [frame for frame in frames if not frame.filename.startswith(NOT_OWN)]
    return f"{own[-1].filename}, line {own[-1].lineno}: `{own[-1].line}`" if own else ""

"""What a stream writes to, asked once for all: a terminal, how wide, with which colours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypedDict

NARROWEST = 20  # columns; on fewer nothing can be read, and lines are the terminal's to break
_USUAL = 80  # where a terminal does not say
_NO = ("", "0", "false")


def is_terminal(stream: Any) -> bool:
    """Whether somebody sits in front of it."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # no such question, or closed
        return False


def width(stream: Any, environ: Mapping[str, str] = os.environ) -> int | None:
    """How many columns lines may have; None where nobody counts them: in files, in pipes."""
    if not is_terminal(stream):
        return None
    asked = environ.get("COLUMNS", "")
    columns = int(asked) if asked.isascii() and asked.isdigit() else 0
    return max(columns or _columns(stream) or _USUAL, NARROWEST)


def _columns(stream: Any) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return 0


def colours(stream: Any, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether to colour: not with NO_COLOR, surely with FORCE_COLOR, else on a terminal that is no dumb one."""
    if environ.get("NO_COLOR"):
        return False
    if "FORCE_COLOR" in environ:
        return environ["FORCE_COLOR"].lower() not in _NO
    return is_terminal(stream) and not is_dumb(environ)


def is_dumb(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal says of itself that it knows no colours."""
    return environ.get("TERM", "").lower() in ("dumb", "unknown")


def encoding(stream: Any) -> str:
    """What its characters are written in."""
    return getattr(stream, "encoding", None) or "utf-8"


class Paper(TypedDict):
    """What is to be known of a stream by whoever writes a text for it."""

    color: bool
    width: int | None
    encoding: str


def paper(stream: Any) -> Paper:
    """All of it."""
    return {"color": colours(stream), "width": width(stream), "encoding": encoding(stream)}

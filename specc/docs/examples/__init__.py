"""Pages written by hand are followed as a reader would: files written, commands typed, specs read."""

from __future__ import annotations

from .fences import Fence, fences, page_notes
from .following import Followed, Step, follow

__all__ = ["Fence", "Followed", "Step", "fences", "follow", "page_notes"]

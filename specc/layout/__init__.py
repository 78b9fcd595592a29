"""What each of several devices does of a step: stages of blocks, copies, and what moves; nothing is sent here.

A plan is made for one device. `laid_out` gives of it what is one rank's, with what it sends and receives.
"""

from __future__ import annotations

from .ranks import every_rank, laid_out
from .stages import stages_of, stages_on

__all__ = ["every_rank", "laid_out", "stages_of", "stages_on"]

"""The parts, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """`share` of the time that is left when it begins, beside those of the parts after it."""

    name: str  # of its file, and of its module in this package
    title: str
    share: int


PARTS = (
    Part("golden", "Golden traces in float64", 4),
    Part("calibration", "Calibration", 9),
    Part("cuda", "Tests that need a GPU", 3),
    Part("rivals", "Rivals under a budget", 8),
    Part("steps", "One block beside a hand-written loop", 2),
    Part("compiled", "train.compile and train.graphs", 5),
    Part("offload", "Parameters on the host", 2),
    Part("memory", "Predicted and measured peaks and step times", 5),
)
NAMES = tuple(part.name for part in PARTS)


def named(name: str) -> Part:
    """The part of a name."""
    return next(part for part in PARTS if part.name == name)

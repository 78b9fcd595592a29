"""Measures the margin of a device, and finds the one that was measured."""

from __future__ import annotations

from collections.abc import Callable

import torch

from specc.device.samples import candidates
from specc.language.schema import show_bytes
from specc.profiles import Profile, matching
from specc.profiles.margin import Margin, Sample, fit

from ..engine.device import identity, kind
from ..errors import RunError
from .sampling import Peaks, in_own_process

FEWEST = 3  # samples that a margin can rest on


def calibrate(device: torch.device, tell: Callable[[str], None]) -> Margin:
    """Run the sample plans on the device, each in a process of its own; `tell` is told of every one."""
    samples: list[Sample] = []
    peaks: Peaks | None = None
    failures: list[str] = []
    contexts: list[int] = []
    for plan in candidates(kind(device)):
        try:
            peaks = in_own_process(plan.plan, str(device))
        except RunError as error:
            failures.append(str(error))
            tell(f"{plan.name}: not measured: {error}")
            continue
        requested = peaks.requested_bytes or peaks.allocated_bytes
        contexts += [] if peaks.context_bytes is None else [peaks.context_bytes]
        samples.append(Sample(plan.name, plan.predicted_bytes, requested, peaks.allocated_bytes))
        tell(sample_line(samples[-1]))
    if peaks is None or len(samples) < FEWEST:
        help = ("a GPU that nothing else uses, with 4 GiB or more, can be calibrated",)
        raise RunError(f"too few plans could be measured: {len(samples)}; {failures[0]}", help)
    fixed, relative = fit(samples)
    return Margin(peaks.allocator, fixed, relative, tuple(samples), max(contexts, default=None))


def sample_line(sample: Sample) -> str:
    """One sample for people."""
    sizes = (sample.predicted_bytes, sample.requested_bytes, sample.allocated_bytes)
    predicted, requested, allocated = map(show_bytes, sizes)
    more = sample.excess / sample.predicted_bytes
    return f"{sample.name}: predicted {predicted}, requested {requested}, allocated {allocated} ({more:+.1%})"


def calibrated(device: torch.device) -> Profile | None:
    """The newest profile with a margin of this device under these versions."""
    return matching(identity(device))

"""The authors' traces on the device, in float64: losses, gradients, three steps, running statistics, logits."""

from __future__ import annotations

import time
from pathlib import Path

from tests.golden import harness

from .work import Work

TRACES = Path(__file__).parents[2] / "tests" / "golden" / "data"
STAND_IN = "man_resnet32_k4"
SECONDS = 45.0  # that the longest trace may take


def run(work: Work) -> None:
    """A row a trace."""
    paths = sorted(TRACES.glob("*.json"), key=lambda path: ("imagenet" in path.stem, path.stem))
    for path in paths:
        if (work.small and path.stem != STAND_IN) or work.has(path.stem, 0.0 if work.small else SECONDS):
            continue
        began, trace, report = time.monotonic(), harness.Trace.read(path), harness.Report()
        harness.compare_single_step(trace, report, work.device)
        if not work.small:
            harness.compare_three_steps(trace, report, work.device)
        wrong = report.wrong or []
        said = f"{report.compared - len(wrong)} of {report.compared} figures as the trace has them"
        work.row(
            path.stem, said, compared=report.compared, different=len(wrong), worst=report.worst,
            first=wrong[:3], error=wrong[0] if wrong else None, seconds=round(time.monotonic() - began, 1),
        )  # fmt: skip

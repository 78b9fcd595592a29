"""measured.json: what a run found out on its way that is not one figure, for its report.

What was told of every class when the network was evaluated last; how long every instruction of the step takes, and the
memory at its highest point. What a process that resumes does not measure again stays as it was measured before.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from specc.runs import manifest
from specc.runs.manifest import Damaged
from specc.runs.names import MOST
from specc.system import files

from .evaluation import Findings
from .finishing import Results
from .rundir import RunDir

if TYPE_CHECKING:
    from .state import RunState

NAME = "measured.json"
FORMAT_VERSION = 1


def keep(run: RunState, found: Results) -> None:
    """Write it."""
    document = manifest.sealed({"format_version": FORMAT_VERSION, **_parts(run, found)})
    run.run_dir.write(NAME, json.dumps(document, allow_nan=False) + "\n")


def _parts(run: RunState, found: Results) -> dict[str, Any]:
    return {"step": _earlier_step(run) | _step(run) or None, "told": _told(run, found) or _earlier_told(run)}


def _step(run: RunState) -> dict[str, Any]:
    """Of every instruction, in the order of the plan's; of a step that ended early as far as it came."""
    if run.own.layout is not None:
        return {}  # the instructions of one rank are not those of the plan
    seconds, found = run.instructions.medians(), dict[str, Any]()
    if seconds:
        found = {"timed_steps": len(run.instructions.steps), "seconds": seconds[:-1], "seconds_after": seconds[-1]}
    if run.peak.peaks:
        found["peak_bytes"] = run.peak.peaks
    return {"plan_fingerprint": run.plan.fingerprint, "device": str(run.device), **found} if found else {}


def _told(run: RunState, found: Results) -> dict[str, Any] | None:
    """Of the test set where it was looked at, else of what was looked at after the last epoch."""
    watched = "validation" if run.validated else "test"
    halves: list[tuple[str, Findings]] = [("test", found.test), (watched, run.judged)]
    for half, each in halves:
        if each.told is not None and (said := each.told.document()) is not None:
            return {"on": half, "epochs": run.epoch, **said}
    return None


def _earlier_step(run: RunState) -> dict[str, Any]:
    """What a process before this one measured of the same step on the same device."""
    part = _part(run, "step")
    same = part.get("plan_fingerprint") == run.plan.fingerprint and part.get("device") == str(run.device)
    return part if same else {}


def _part(run: RunState, name: str) -> dict[str, Any]:
    part = run.measured.get(name)
    return part if isinstance(part, dict) else {}


def _earlier_told(run: RunState) -> Any:
    """What was told before this process, where the network is still that of then."""
    part = _part(run, "told")
    return part if part.get("epochs") == run.epoch else None


def earlier(run_dir: RunDir) -> dict[str, Any]:
    """What is there of the processes before; nothing where it is not as it was written."""
    with suppress(OSError, ValueError, Damaged):
        return manifest.unsealed(files.mapping(files.read_whole(run_dir.path / NAME, MOST, follow=False)))
    return {}

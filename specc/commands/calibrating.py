"""`specc doctor --calibrate`: a device is measured, shown and remembered."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from ..diagnostics.notices import counted, doing
from .output import echo, echo_json
from .shared import fail, failures_shown, loading_torch

if TYPE_CHECKING:
    from ..profiles import Margin


def calibrate(gpu: int | None, device: str | None, form: str) -> None:
    """Measure, show and remember. The margin of a CPU, which has next to none, is measured only where it is named."""
    margin: Margin | None = None
    with failures_shown():
        with loading_torch():
            from runtime.engine.device import choose
            from runtime.memory import calibration
            from runtime.timing import calibrate as times

        chosen = choose(device, gpu)
        if chosen.type != "cpu" or device is not None:
            margin = calibration.calibrate(chosen, lambda line: echo(line, err=True))
        with doing("measuring how long ops take", at_once=True) as so_far:
            times_of = times.calibrate(chosen, lambda samples: counted(samples, so_far, len(samples)))
    profile = replace(times_of, margin=margin)
    if form == "json":
        echo_json(asdict(profile))  # as its file has it
    else:
        from ..views.profiles import profile_lines

        echo("\n".join(profile_lines(profile)))
    from ..profiles import save

    try:
        path = save(profile)
    except OSError as error:
        where = f"{error.strerror} ({error.filename})"
        fail(3, f"the calibration cannot be kept: {where}", "set SPECC_CACHE to another folder")
    echo(f"wrote {path}", err=True)

"""`specc doctor --calibrate`: a device is measured, shown and remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..diagnostics.notices import counted, doing
from .output import echo, echo_json
from .shared import fail, failures_shown, loading_torch

if TYPE_CHECKING:
    from ..margins import Calibration
    from ..profiles import Profile


def calibrate(gpu: int | None, device: str | None, form: str) -> None:
    """Measure, show and remember. The margin of a CPU, which has next to none, is measured only where it is named."""
    margin: Calibration | None = None
    with failures_shown():
        with loading_torch():
            from runtime.engine.device import choose
            from runtime.memory import calibration
            from runtime.timing import calibrate as times

        chosen = choose(device, gpu)
        if chosen.type != "cpu" or device is not None:
            margin = calibration.calibrate(chosen, lambda line: echo(line, err=True))
        with doing("measuring how long ops take", at_once=True) as so_far:
            profile = times.calibrate(chosen, lambda samples: counted(samples, so_far, len(samples)))
    _show(margin, profile, form)
    if margin is not None:
        from ..margins import save as save_margin

        margin_of = margin
        _keep("margin", lambda: save_margin(margin_of))
    from ..profiles import save

    _keep("profile", lambda: save(profile))


def _show(margin: Calibration | None, profile: Profile, form: str) -> None:
    from ..views.margin import calibration_lines
    from ..views.profiles import profile_lines

    if form == "json":
        own = asdict(margin) if margin else {"format_version": 1, "device": profile.device, "samples": []}
        echo_json(own | {"profile": asdict(profile)})  # as the files have them
        return
    echo("\n".join([*(calibration_lines(margin) if margin else ()), *profile_lines(profile)]))


def _keep(what: str, save: Callable[[], Path]) -> None:
    try:
        path = save()
    except OSError as error:
        fail(3, f"the {what} cannot be kept: {error.strerror} ({error.filename})", "set SPECC_CACHE to another folder")
    echo(f"wrote {path}", err=True)

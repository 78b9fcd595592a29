"""The report that a run leaves behind, however it ended; one that cannot be drawn spoils no run."""

from __future__ import annotations

import shlex
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from specc.diagnostics.notices import doing, notice

from ..errors import RunError
from .rundir import RunDir


@contextmanager
def reported(run: RunDir, *, wanted: bool = True) -> Iterator[Callable[[], None]]:
    """When all of this is over, and the lock given back, a report; unless the run never began, which it says."""
    begun = False

    def begin() -> None:
        nonlocal begun
        begun = wanted

    try:
        yield begin
    except RunError:
        if begun:
            leave(run)
        raise
    if begun:
        leave(run)


def leave(run: RunDir) -> None:
    """Draw it, or say why it is not there."""
    from specc.report.writing import report  # it needs what draws pictures, which nothing else of a run does

    try:
        with doing("drawing the report"):
            report([run.path])
    except OSError as error:
        notice(f"warning: {error.filename or run.path}: no report: {error.strerror or error}")
    except (Exception, KeyboardInterrupt) as error:
        again = f"once more: specc report {shlex.quote(str(run.path))}"
        notice(f"warning: {run.path}: no report: {type(error).__name__}: {error} ({_where(error)}); {again}")


def _where(error: BaseException) -> str:
    """The line that failed, for whoever looks for the cause."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"

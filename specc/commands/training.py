"""What a person sees while several runs are trained: a line of who is at what, and one for each that begins or ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..comparing.crew import Watch, Worker
from ..diagnostics.notices import notice, progress
from ..runs.scores import latest
from ..views.durations import show_seconds
from ..views.runs import show_score

if TYPE_CHECKING:
    from ..comparing.jobs import Standing

_AGAIN = 0.5  # seconds from one look at who is at what to the next


class Told(Watch):
    """Tells it to whoever listens to what is being done."""

    def __init__(self, all: int) -> None:
        self.all, self.done, self._due = all, 0, 0.0

    def begins(self, worker: Worker) -> None:
        """Which, and where its own words are."""
        record = worker.standing.record
        how = f"goes on after epoch {record.epochs_done}" if record else "begins"
        notice(f"{worker.job}: {how}, in {worker.folder}")

    def ended(self, worker: Worker, outcome: Standing) -> None:
        """What has become of it."""
        self.done += 1
        took = show_seconds(time.monotonic() - worker.began)
        score = latest(worker.rows())
        if outcome.status == "completed":
            how = f"completed in {took}" + (f", {show_score(score)}" if score else "")
        elif outcome.status == "interrupted":
            how = outcome.cause or "interrupted"
        else:
            how = f"failed after {took}: {outcome.cause}"
        notice(f"{worker.job}: {how} ({self.done} of {self.all})")

    def goes_on(self, working: Sequence[Worker]) -> None:
        """Who is at what."""
        now = time.monotonic()
        if working and now >= self._due:
            self._due = now + _AGAIN
            progress(f"{self.done}/{self.all} runs; {'; '.join(map(_at, working))}")

    def stops(self, working: Sequence[Worker], times: int) -> None:
        """What is waited for."""
        if working and times == 1:
            notice(f"stopping: {', '.join(str(each.job) for each in working)} finish their step and save; "
                   "once more to stop at once")  # fmt: skip


def _at(worker: Worker) -> str:
    rows = worker.rows()
    score = latest(rows)
    epoch = f"epoch {min(len(rows) + 1, worker.job.epochs)}/{worker.job.epochs}"
    return f"{worker.job} {epoch}" + (f", {show_score(score)}" if score else "")

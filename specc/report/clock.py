"""How long other training would have taken: by what is known of this device, or else by the run's own steps."""

from __future__ import annotations

from dataclasses import dataclass

from ..fit.attempts import Candidate
from ..plan.flops import step_flops
from ..runs.record import Status
from ..timing import step_time
from ..views.step_time import COMMAND
from .alternatives import Lab
from .subject import Subject
from .words import seconds


@dataclass(frozen=True)
class Clock:
    """For the training of one run, and for what might have been instead."""

    subject: Subject
    lab: Lab

    @property
    def measured(self) -> float:
        """Seconds of a step of the run; 0 where none was measured."""
        return self.subject.record.said.step_seconds_median

    @property
    def known(self) -> bool:
        """Whether there is any way to tell."""
        return self.lab.profile is not None or self.measured > 0

    @property
    def estimated(self) -> bool:
        """Whether that is by FLOPs alone."""
        return self.lab.profile is None

    @property
    def own(self) -> float | None:
        """A step of the run itself, from where the others are from: prediction beside prediction."""
        return predicted(self.lab) or self.measured or None

    def of(self, found: Candidate) -> float | None:
        """A step of something else."""
        if found.seconds is not None or not self.measured:
            return found.seconds
        return self.measured * found.found.flops / step_flops(self.lab.plan)

    @property
    def steps(self) -> int | None:
        """Of the whole training."""
        said, plan = self.subject.record.said, self.lab.plan
        if self.subject.record.status == Status.COMPLETED and said.steps and said.epochs:
            return round(said.steps / said.epochs * plan.config.train.epochs)
        size = plan.data.train_size
        return max(1, size // plan.config.data.batch_size) * plan.config.train.epochs if size else None

    def training(self, step: float | None) -> float | None:
        """Seconds of all steps of it."""
        return None if step is None or self.steps is None else step * self.steps

    def shown(self, step: float | None, *, estimated: bool = False) -> tuple[str, str]:
        """A step and the whole training in words."""
        mark = "≈ " * estimated
        one, all = ("–" if each is None else f"{mark}{seconds(each)}" for each in (step, self.training(step)))
        return one, all

    def other(self, found: Candidate) -> tuple[str, str]:
        """The same of something else."""
        return self.shown(self.of(found), estimated=self.estimated)

    @property
    def source(self) -> str:
        """Where the times are from."""
        if self.lab.profile is not None:
            return f"predicted for {self.lab.profile.device} ({self.lab.profile.source})"
        return f"estimated from this run's {seconds(self.measured)} a step by FLOPs"

    @property
    def said(self) -> str:
        """The same as a sentence, and how to come by more."""
        if self.lab.profile is not None:
            return f"Times are {self.source}; they are of steps, without evaluation."
        here = " --device cpu" if self.lab.plan.memory.device == "cpu" else ""
        better = f"`{COMMAND}{here}` measures this device, which tells more"
        if self.known:
            return f"Times are {self.source}, of steps without evaluation: {better}."
        return f"No step was measured, and nothing is known of this device, so that there are no times: {better}."


def predicted(lab: Lab | None) -> float | None:
    """Seconds of a step of the run as they are predicted, where a device is known."""
    return step_time(lab.plan, lab.profile).seconds if lab and lab.profile else None

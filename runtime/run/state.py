"""Where a run stands, for all that trains it, ends it and sums it up."""

from __future__ import annotations

from typing import Any

import torch

from specc.plan import Plan
from specc.tasks.registry import TASKS

from ..data import Loader
from ..data.splits import Splits
from ..engine.session import Session
from ..memory.meter import Meter
from .averages import Averages
from .budget import Peak
from .cadence import Cadence
from .checkpoint import Best, Figures, Position
from .clock import StepClock, WallClock
from .evaluation import NOTHING
from .interruption import Interruption
from .patience import Patience
from .rundir import RunDir
from .team import ALONE, GO_ON, Team
from .watching import InstructionClock, PeakWatch


class RunState:
    """One run of a plan on a device, or on several as one of their ranks, in a run directory, which the first one has.

    Where it stands are `epoch`, `step` (the next one), `averages` and `seconds`: a checkpoint holds them all, so a
    resumed run goes on in the middle of an epoch, or before its evaluation, as if it had never been stopped.
    """

    session: Session
    meter: Meter
    train_data: Loader
    splits: Splits
    interruption: Interruption
    batch: int  # images a step, all that there are where those are fewer than the plan's

    def __init__(self, plan: Plan, device: torch.device, run: RunDir, spec_text: str, team: Team = ALONE) -> None:
        self.plan, self.device, self.run_dir, self.spec_text, self.team = plan, device, run, spec_text, team
        self.own, self.wire = team.lay_out(plan)  # what this rank does of it, and its end of what moves
        self.environment: dict[str, Any] = team.by_first(run.environment)
        self.peaks: list[Peak] = []  # of all ranks, when they were last asked
        self.config, self.task = plan.config.train, TASKS[plan.config.task]
        self.epoch = self.step = self.taken = 0
        self.heard = GO_ON  # of the ranks, last
        self.averages, self.seconds = Averages(), 0.0  # of this epoch
        self.saved: Position | None = None
        self.best: Best | None = None
        self.cadence = Cadence(self.config.checkpoint, self.task.metrics[0])
        self.patience, self.validated = Patience(self.config.early_stopping, self.task.metrics[0]), False
        self.earlier = Figures()
        self.notes, self.warnings = list[str](), list[str]()  # what a person should know before it goes on
        self.fits = True  # in the device, under the budget
        self.cause: str | None = None  # of an end before its time
        self.clock, self.wall = StepClock(device), WallClock()
        self.peak, self.instructions = PeakWatch(), InstructionClock(device)
        self.judged, self.measured = NOTHING, dict[str, Any]()  # by the last epoch's evaluation; by processes before

    @property
    def over(self) -> bool:
        """Whether all epochs are done that there are to be."""
        return self.epoch >= self.config.epochs or self.patience.over

    @property
    def steps(self) -> int:
        """Steps taken in all, by this process and those before it."""
        return self.epoch * len(self.train_data) + self.step

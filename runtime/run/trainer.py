"""Trains a plan: epochs, evaluation, metrics, checkpoints, and the measured peak against the budget."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from specc.diagnostics.notices import counted, doing
from specc.plan import Plan
from specc.runs import manifest
from specc.runs.names import SUMMARY

from ..data import DataError, Loader
from ..data.draws import Draws
from ..data.loader import Part
from ..data.opening import open_data, root_of_resumed
from ..data.splits import Batch
from ..engine.determinism import cost, determinism
from ..engine.device import ran_out
from ..engine.session import Session, Step
from ..errors import Interrupted, RunError, WriteError
from ..memory.meter import Meter
from . import checkpoint, endings, measured, saving, storing
from .averages import Averages, training_figures
from .evaluation import Findings, evaluated
from .finishing import Results, results
from .interruption import Interruption, Stopped
from .learning_rate import Rates
from .limits import check_budget, check_finite, hear_peaks
from .logs.keeping import Logs
from .resuming import resume
from .rundir import RunDir
from .shown import Silence
from .state import RunState
from .summary import NOTHING, figures_of, summary_of
from .team import ALONE, GO_ON, SAVE, STOP, Team

METERED_STEPS = 3  # optimizer state exists from the second step on; the third confirms


class Trainer(RunState):
    """Takes a run from where it stands to its end."""

    def __init__(
        self, plan: Plan, device: torch.device, run: RunDir, progress: Silence, spec_text: str, team: Team = ALONE
    ) -> None:
        super().__init__(plan, device, run, spec_text, team)
        self.progress, self.logs = progress, Logs(run, self.config.log if team.first else [], progress.say)
        self.notes += [cost(device)] if self.config.deterministic else []
        self._limit_device()
        self._open()
        self.session = self._session()
        self.meter = Meter(device, self.session.resident, self.session.resized)
        batch, seed = plan.config.data.batch_size, self.config.seed
        loader = partial(
            Loader, seed=seed, device=device, memory_format=self.session.model.memory_format,
            target=getattr(torch, self.task.target.dtype), layout=self.own.layout,
        )  # fmt: skip
        self.train_data = loader(self.splits.train, batch, train=True)
        self.watched = loader(self.splits.watched, plan.config.together, train=False)
        self.test_data = loader(self.splits.test, plan.config.together, train=False) if self.splits.test else None
        self.rates = Rates(self.config, len(self.train_data))
        self.notes += self.rates.notes
        self.interruption = Interruption()

    def _open(self) -> None:
        root, moved = root_of_resumed(self.plan, self.environment.get("data_root"))
        self.splits = open_data(self.plan, root)
        self.validated = self.splits.validation is not None
        size, batch = len(self.splits.train), self.plan.config.data.batch_size
        self.batch = min(batch, size)
        self.notes += [moved] if moved else []
        if self.batch < batch and not self.plan.data.train_size:  # else the compiler has said so
            self.notes.append(f"a batch of {batch} is larger than the training set of {size}: every step takes all of "
                              f"it, and less memory than predicted")  # fmt: skip

    def _session(self) -> Session:
        try:
            begun = bool(checkpoint.names(self.run_dir.path))  # then these are its numbers
            session = Session(self.own, self.device, wire=self.wire, load=not begun)
            session.executor.watchful = self.device.type == "cpu"  # where that waits for nothing
            return session
        except (RuntimeError, MemoryError) as error:  # another process may hold the GPU's memory
            if not ran_out(error):
                raise
            raise endings.out_of_memory(self, error) from None

    def _limit_device(self) -> None:
        """On CUDA the budget is a hard limit for the whole process."""
        budget = self.plan.config.budget
        if self.device.type == "cuda" and budget is not None and budget.on_exceed == "error":
            total = torch.cuda.get_device_properties(self.device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, budget.memory / total), self.device)

    def resume(self) -> None:
        """Continue where the run directory's newest whole checkpoint stands; at the beginning where there is none."""
        resume(self)

    def train(self) -> dict[str, Any]:
        """Train to the end; returns the summary, which is also in summary.json."""
        with self.interruption, determinism(self.config.deterministic):
            try:
                return self._summary("completed", self._stoppable())
            except (KeyboardInterrupt, Exception) as error:
                ending = endings.ending_for(self, error)
                if ending is None:
                    self._summarize_loss(error)
                    raise
                self._summarize_failure(ending, told=isinstance(error, WriteError))
                raise ending from None

    def _stoppable(self) -> Results:
        try:
            return self._epochs()
        except (Stopped, DataError) as ending:  # between two steps: nothing of what was trained need be lost
            if isinstance(ending, DataError) and not self.team.alone:
                raise  # the others are in the next step already
            check_finite(self)
            self._save()
            if isinstance(ending, DataError):
                raise
            raise endings.interrupted(self, "checkpoint saved") from None

    def _summarize_failure(self, ending: RunError, *, told: bool) -> None:
        """The summary, as far as the disk takes it, which is spoken of unless it is what the run ended of."""
        self.cause = str(ending)
        try:
            self._summary("interrupted" if isinstance(ending, Interrupted) else "failed")
        except WriteError as error:
            ending.help = ending.help if told else (*ending.help, str(error))

    def _summarize_loss(self, error: BaseException) -> None:
        """The summary of a run of which another rank has ended: whoever started them knows more of it."""
        if lost := self.team.lost(error):
            self._summarize_failure(RunError(lost), told=True)

    def _epochs(self) -> Results:
        """Train until all epochs are done, or further ones would be in vain."""
        found: Findings | None = None
        if self.saved is None:
            self._save()  # or what is killed before the first epoch ends has nothing to go on from
        while not self.over:
            self._one_epoch()
            check_finite(self)
            found = self.evaluate(self.watched)
            self._close_epoch(found)
        return results(self, found or self.evaluate(self.watched), self.test_data, self.evaluate)

    def _close_epoch(self, found: Findings) -> None:
        row = {"epoch": self.epoch + 1, "lr": self.rates.last(self.epoch), "seconds": round(self.seconds, 3)}
        self.judged = found
        row |= found.columns(self.splits.watches)
        row |= {f"train_{k}": v for k, v in self.averages.of_all(self.plan, self.team).means().items()}
        self.team.by_first(lambda: self.run_dir.add_metrics(row))
        self.progress.epoch_ends(row)
        self.logs.epoch(row)
        self.epoch, self.step, self.averages, self.seconds = self.epoch + 1, 0, Averages(), 0.0
        best, self.best = self.best, self.cadence.better(self.best, found.whole, self.epoch)
        self.patience.add(found.whole)
        if self.best != best or self.over or self._is_due():
            self._save()

    def _one_epoch(self) -> None:
        self.progress.epoch_begins(self.epoch, len(self.train_data))
        with self._timed():
            for batch, samples in self._remaining():
                torch.manual_seed(step_seed(self.config.seed, self.epoch, self.step, self.team.rank))
                self.session.tell(self.rates.at(self.epoch, self.step))
                result = self.clock.time(partial(self._step, batch, samples))
                self.averages.add(training_figures(result, self.task, samples), samples)
                self._tell_of(result)
                # Or they would be there beside the next batch and count in the next step's peak.
                del result, batch
                self.step += 1
                self.taken += 1
                if self.step < len(self.train_data) and self._is_due():  # else the evaluation comes first
                    check_finite(self)
                    self._count_time()
                    self._save()
            self.clock.collect()

    def _is_due(self) -> bool:
        time_is_up = None if self.team.alone else self.heard == SAVE
        return self.cadence.due(self.epoch, self.steps, self.saved, time_is_up)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Counts as time of this epoch, which several processes may share."""
        self.counted = time.perf_counter()
        try:
            yield
        finally:
            self._count_time()

    def _count_time(self) -> None:
        now = time.perf_counter()
        self.seconds, self.counted = self.seconds + now - self.counted, now

    def _remaining(self) -> Iterator[Part]:
        """What is left of the epoch's batches."""
        if self.step < len(self.train_data):
            yield from self._interruptible(self.train_data.parts(self.epoch, self.step))

    def _interruptible(self, parts: Iterator[Part]) -> Iterator[Part]:
        """The batches; before and after each of them is a moment to stop."""
        try:
            for part in parts:
                self._grant(begins=True)
                yield part
                del part
                self._grant()  # and not wait for the next one
        except DataError:
            self._grant(begins=True)  # workers that decode images hear a signal too, and are gone then
            raise

    def _grant(self, *, begins: bool = False) -> None:
        """Stop where somebody wishes to; several ranks stop after the same step, and tell one another once a step."""
        if self.team.alone:
            self.interruption.grant()
        elif not begins:
            wish = SAVE if self.cadence.time_is_up else GO_ON
            self.heard = self.team.beat(STOP if self.interruption.wanted else wish)
            self.interruption.grant(self.heard == STOP)

    def _reads_loss(self, step: int) -> bool:
        """Whether to read the loss now; on a GPU that waits for the device, so not every step."""
        return self.device.type == "cpu" or step % 50 == 0 or step == len(self.train_data) - 1

    def _step(self, batch: Batch | None, samples: int) -> Step:
        images, labels = batch or (None, None)
        step = partial(self.session.train_step, images, labels, samples=samples)
        metered = METERED_STEPS + (self.own.layout.ahead if self.own.layout else 0)
        if self.taken >= metered:
            with self.instructions.timing(self.session.executor):
                return step()
        with self.peak.watching(self.session.executor, self.meter.reading):
            result: Step = self.meter.measure(step, batch or ())
        if self.taken == metered - 1:
            self.check_budget()
        return result

    def _tell_of(self, result: Step) -> None:
        """Whoever watches is given the losses only where they are looked at anyway."""
        if reads := self._reads_loss(self.step):
            self.session.executor.check_losses()
        self.progress.step_done(self.step + 1, self.team.tell(result.total if reads else None))

    def check_budget(self) -> None:
        """Raise `BudgetExceeded` where the measured peak is over the budget, unless that is only worth a warning."""
        check_budget(self)

    @torch.no_grad()
    def evaluate(self, data: Loader) -> Findings:
        """How good the network is on a split, and every unit by itself."""
        self.session.finish()
        with self.session.averaged(), doing("evaluating") as so_far:
            parts = counted(self._interruptible(data.parts(0)), so_far, len(data))
            units = self.config.evaluate_units
            return evaluated(self.session, parts, units=units, whole_plan=self.plan, team=self.team)

    def _save(self) -> None:
        self.session.finish()  # so a run that goes on from here is the one that went on
        hear_peaks(self)
        at = checkpoint.Position(
            self.epoch, self.step, self.plan.fingerprint, self.seconds, figures_of(self), self.steps, self.best,
            self.wall.seconds,
        )  # fmt: skip
        if self.saved and (at.epoch, at.step) == (self.saved.epoch, self.saved.step):
            return  # it is there, and who resumes a run and stops it at once need not write it again
        folder, keep = self.run_dir.path, self.config.checkpoint
        with doing("saving a checkpoint"):
            sums, metrics = self.averages.of_all(self.plan, self.team).tensors(), self.run_dir.written_metrics
            self.saved = saving.save(self.session, at, folder, sums, metrics, self.team)
        self.best, self.cadence.saved_at, self.heard = self.saved.best, time.monotonic(), GO_ON
        self.team.settle()
        best = self.best.checkpoint if self.best else None
        self.team.by_first(lambda: storing.prune(folder, keep.keep_last, best))

    def _summary(self, status: str, found: Results = NOTHING) -> dict[str, Any]:
        if not self.team.first:
            return {}
        measured.keep(self, found)
        summary = summary_of(self, status, found)
        self.run_dir.write_json(SUMMARY, manifest.sealed(summary))
        self.logs.end(summary)
        return summary


def step_seed(seed: int, epoch: int, step: int, rank: int = 0) -> int:
    """Seed of all that is drawn in one step (dropout), so that a resumed run draws what it would have drawn.

    Every rank draws its own: two copies that dropped the same of their samples would be no copies of one network.
    """
    return int(Draws(seed, epoch).bits(np.array([step]), f"step/{rank}" if rank else "step")[0])

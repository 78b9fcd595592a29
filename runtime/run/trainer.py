"""Trains a plan: epochs, evaluation, metrics, checkpoints, and the measured peak against the budget."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from specc.diagnostics.notices import counted, doing
from specc.plan import Plan
from specc.runs import checkpoints, manifest
from specc.runs.names import SUMMARY

from ..data import DataError, Loader
from ..data.draws import Draws
from ..data.inspection import check_same
from ..data.opening import open_data, root_of_resumed
from ..data.splits import Batch
from ..engine.determinism import cost, determinism
from ..engine.device import ran_out
from ..engine.session import Session, Step
from ..errors import Interrupted, RunError, WriteError
from ..memory.meter import Meter
from . import checkpoint, endings, measured, saving, storing
from .averages import Averages, training_figures
from .budget import over_budget
from .evaluation import Findings, evaluated
from .finishing import Results, results
from .interruption import Interruption, Stopped
from .learning_rate import Rates
from .logs.keeping import Logs
from .rundir import RunDir
from .shown import Silence
from .state import RunState
from .summary import NOTHING, figures_of, summary_of

METERED_STEPS = 3  # optimizer state exists from the second step on; the third confirms


class Trainer(RunState):
    """Takes a run from where it stands to its end."""

    def __init__(self, plan: Plan, device: torch.device, run: RunDir, progress: Silence, spec_text: str) -> None:
        super().__init__(plan, device, run, spec_text)
        self.progress, self.logs = progress, Logs(run, self.config.log, progress.say)
        self.notes = [cost(device)] if self.config.deterministic else []  # what a person should know before it goes on
        self.warnings: list[str] = []
        self._limit_device()
        self._open()
        self.session = self._session()
        self.meter = Meter(device, self.session.resident)
        batch, seed = plan.config.data.batch_size, self.config.seed
        loader = partial(
            Loader, seed=seed, device=device, memory_format=self.session.model.memory_format,
            target=getattr(torch, self.task.target.dtype),
        )  # fmt: skip
        self.train_data = loader(self.splits.train, batch, train=True)
        self.watched = loader(self.splits.watched, plan.config.together, train=False)
        self.test_data = loader(self.splits.test, plan.config.together, train=False) if self.splits.test else None
        self.rates = Rates(self.config, len(self.train_data))
        self.notes += self.rates.notes
        self.interruption = Interruption()

    def _open(self) -> None:
        root, moved = root_of_resumed(self.plan, self.run_dir.environment().get("data_root"))
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
            session = Session(self.plan, self.device)
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
        check_same(self.plan.data, self.splits)
        self.measured = measured.earlier(self.run_dir)
        if checkpoint.names(self.run_dir.path) and checkpoints.exists(self.run_dir.path):
            self._restore(checkpoint.newest(self.run_dir.path))
        elif self.run_dir.written_metrics():  # the first checkpoint is older than any row
            help = ("restore them from a backup, or start the run anew, with another `--run-dir`",)
            raise RunError(f"the run in {self.run_dir.path} has lost its checkpoints: metrics.csv is all it has", help)
        else:
            self.notes.append("no checkpoint was saved yet: the run begins anew")

    def _restore(self, found: checkpoint.Found) -> None:
        position, sums = saving.load(self.session, found, self.run_dir.environment().get("plans", ()))
        steps = len(self.train_data)
        if not (0 <= position.epoch <= self.config.epochs and 0 <= position.step <= steps):
            message = f"the checkpoint is of {position}; now there are {self.config.epochs} epochs of {steps} steps"
            raise RunError(message, ("the data set must be the one that the run was started with",))
        self.saved, self.epoch, self.step, self.seconds = position, position.epoch, position.step, position.seconds
        self.best, self.averages = position.best, Averages.of(sums, self.device)
        self.wall.before = position.wall_seconds
        self.patience.restore(found.metrics(), self.splits.watches)
        self.warnings += found.warnings
        if not self.run_dir.restore_metrics(found.metrics()):
            self.warnings.append(f"metrics.csv was changed since: it is again what {found.path.name} recorded of it")
        self.notes += [f"what is left of it is kept in {path}" for path in storing.set_aside(found)]
        if position.figures.device == str(self.device):
            self.earlier = position.figures
            self.meter.peak_bytes, self.meter.requested_bytes = self.earlier.peak_bytes, self.earlier.requested_bytes

    def train(self) -> dict[str, Any]:
        """Train to the end; returns the summary, which is also in summary.json."""
        with self.interruption, determinism(self.config.deterministic):
            try:
                return self._summary("completed", self._stoppable())
            except (KeyboardInterrupt, Exception) as error:
                ending = endings.ending_for(self, error)
                if ending is None:
                    raise
                self._summarize_failure(ending, told=isinstance(error, WriteError))
                raise ending from None

    def _stoppable(self) -> Results:
        try:
            return self._epochs()
        except (Stopped, DataError) as ending:  # between two steps: nothing of what was trained need be lost
            self._check_finite()
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

    def _epochs(self) -> Results:
        """Train until all epochs are done, or further ones would be in vain."""
        found: Findings | None = None
        if self.saved is None:
            self._save()  # or what is killed before the first epoch ends has nothing to go on from
        while not self.over:
            self._one_epoch()
            self._check_finite()
            found = self.evaluate(self.watched)
            self._close_epoch(found)
        return results(self, found or self.evaluate(self.watched), self.test_data, self.evaluate)

    def _close_epoch(self, found: Findings) -> None:
        row = {"epoch": self.epoch + 1, "lr": self.rates.last(self.epoch), "seconds": round(self.seconds, 3)}
        self.judged = found
        row |= found.columns(self.splits.watches)
        row |= {f"train_{k}": v for k, v in self.averages.means().items()}
        self.run_dir.add_metrics(row)
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
            for images, labels in self._remaining():
                torch.manual_seed(step_seed(self.config.seed, self.epoch, self.step))
                self.session.tell(self.rates.at(self.epoch, self.step))
                result = self.clock.time(partial(self._step, images, labels))
                self.averages.add(training_figures(result, self.task, labels), len(labels))
                self._tell_of(result)
                # Or they would be there beside the next batch and count in the next step's peak.
                del result, images, labels
                self.step += 1
                self.taken += 1
                if self.step < len(self.train_data) and self._is_due():  # else the evaluation comes first
                    self._check_finite()
                    self._count_time()
                    self._save()
            self.clock.collect()

    def _is_due(self) -> bool:
        return self.cadence.due(self.epoch, self.steps, self.saved)

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

    def _remaining(self) -> Iterator[Batch]:
        """The batches that are left of the epoch."""
        if self.step < len(self.train_data):
            yield from self._interruptible(self.train_data.epoch(self.epoch, self.step))

    def _interruptible(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches; before and after each of them is a moment to stop."""
        try:
            for batch in batches:
                self.interruption.grant()
                yield batch
                del batch
                self.interruption.grant()  # and not wait for the next one
        except DataError:
            self.interruption.grant()  # workers that decode images hear a signal too, and are gone then
            raise

    def _reads_loss(self, step: int) -> bool:
        """Whether to read the loss now; on a GPU that waits for the device, so not every step."""
        return self.device.type == "cpu" or step % 50 == 0 or step == len(self.train_data) - 1

    def _step(self, images: Tensor, labels: Tensor) -> Step:
        if self.taken >= METERED_STEPS:
            with self.instructions.timing(self.session.executor):
                return self.session.train_step(images, labels)
        with self.peak.watching(self.session.executor, self.meter.reading):
            result: Step = self.meter.measure(lambda: self.session.train_step(images, labels), (images, labels))
        if self.taken == METERED_STEPS - 1:
            self.check_budget()
        return result

    def _tell_of(self, result: Step) -> None:
        """Whoever watches is given the losses only where they are looked at anyway."""
        if reads := self._reads_loss(self.step):
            self.session.executor.check_losses()
        self.progress.step_done(self.step + 1, result.total if reads else None)

    def _check_finite(self) -> None:
        """Whether what was trained is numbers; the last loss that was looked at says nothing of the step after it."""
        if found := endings.not_finite(self.averages.means()):
            raise endings.diverged_at(self, f"of the means so far {found}", self.step)
        if name := endings.first_not_finite(self.session.model.tensors().items()):
            raise endings.diverged_at(self, f"`{name}` is not finite", self.step)

    def check_budget(self) -> None:
        """Raise `BudgetExceeded` where the measured peak is over the budget, unless that is only worth a warning."""
        budget = self.plan.config.budget
        if budget is not None and self.meter.peak_bytes > budget.memory and budget.on_exceed == "error":
            where = self.peak.instruction
            raise over_budget(self.plan, self.meter.peak_bytes, where, self.run_dir.path, endings.what_is_left(self))

    @torch.no_grad()
    def evaluate(self, data: Loader) -> Findings:
        """How good the network is on a split, and every unit by itself."""
        with self.session.averaged(), doing("evaluating") as so_far:
            batches = counted(self._interruptible(data.epoch(0)), so_far, len(data))
            return evaluated(self.session, batches, units=self.config.evaluate_units)

    def _save(self) -> None:
        at = checkpoint.Position(
            self.epoch, self.step, self.plan.fingerprint, self.seconds, figures_of(self), self.steps, self.best,
            self.wall.seconds,
        )  # fmt: skip
        if self.saved and (at.epoch, at.step) == (self.saved.epoch, self.saved.step):
            return  # it is there, and who resumes a run and stops it at once need not write it again
        folder, keep = self.run_dir.path, self.config.checkpoint
        with doing("saving a checkpoint"):
            self.saved = saving.save(self.session, at, folder, self.averages.tensors(), self.run_dir.written_metrics())
        self.best, self.cadence.saved_at = self.saved.best, time.monotonic()
        storing.prune(folder, keep.keep_last, self.best.checkpoint if self.best else None)

    def _summary(self, status: str, found: Results = NOTHING) -> dict[str, Any]:
        measured.keep(self, found)
        summary = summary_of(self, status, found)
        self.run_dir.write_json(SUMMARY, manifest.sealed(summary))
        self.logs.end(summary)
        return summary


def step_seed(seed: int, epoch: int, step: int) -> int:
    """Seed of all that is drawn in one step (dropout), so that a resumed run draws what it would have drawn."""
    return int(Draws(seed, epoch).bits(np.array([step]), "step")[0])

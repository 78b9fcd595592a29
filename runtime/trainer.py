"""Trains a plan: epochs, evaluation, metrics, checkpoints, and the measured peak against the budget."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from specc.environment import expand_path
from specc.plan import Instruction, Plan

from . import checkpoint
from .calibration import calibration_of
from .clock import StepClock
from .data import DataConfig, DataError, Loader, Splits, open_dataset
from .data.draws import Draws
from .device import obtainable, ran_out
from .errors import Interrupted, RunError
from .exceed import Whereabouts, did_not_fit, over_budget
from .interruption import Interruption, Stopped
from .learning_rate import learning_rate
from .meter import Meter
from .rundir import RunDir, spec_hash
from .session import Session, Step

METERED_STEPS = 3  # optimizer state exists from the second step on; the third confirms
NOT_FINITE = ("between 0 and 1", "device-side assert")  # what torch's bce makes of NaN, on a processor and on a GPU


class Progress(Protocol):
    """What wants to know how a run goes."""

    def epoch_begins(self, epoch: int, steps: int) -> None:
        """An epoch (from 0) of so many steps begins."""

    def step_done(self, step: int, loss: float | None) -> None:
        """A step (from 0) is done; the loss is given now and then."""

    def epoch_ends(self, row: dict[str, Any]) -> None:
        """An epoch's metrics."""


@dataclass
class Averages:
    """Running means of an epoch's losses and accuracy, kept on the device so that no step waits for them."""

    count: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)

    def add(self, values: dict[str, Tensor], weight: int) -> None:
        """Add a batch of `weight` images."""
        self.count += weight
        for name, value in values.items():
            held = self.sums.get(name)
            self.sums[name] = value.detach() * weight if held is None else held.add_(value.detach() * weight)

    def means(self) -> dict[str, float]:
        """The means so far."""
        return {name: float(total) / max(1, self.count) for name, total in self.sums.items()}


class Trainer:
    """One run of a plan on a device, in a run directory."""

    def __init__(self, plan: Plan, device: torch.device, run: RunDir, progress: Progress, spec_text: str) -> None:
        self.plan, self.device, self.run_dir, self.progress = plan, device, run, progress
        self.spec_text = spec_text
        self.config = plan.config.train
        self.epoch = self.step = self.taken = 0
        self.fits = True  # in the device, under the budget
        self._cap()
        self.splits = open_data(plan)
        self.session = self._session()
        self.meter, self.peak = Meter(device, self.session.resident), Whereabouts()
        batch, seed = plan.config.data.batch_size, self.config.seed
        order = self.session.model.memory_format
        self.train_data = Loader(self.splits.train, batch, seed=seed, train=True, device=device, memory_format=order)
        self.test_data = Loader(self.splits.test, batch, seed=seed, train=False, device=device, memory_format=order)
        self.interruption = Interruption()
        self.clock = StepClock(device)

    def _session(self) -> Session:
        try:
            return Session(self.plan, self.device)
        except RuntimeError as error:  # another process may hold the GPU's memory
            if not ran_out(error):
                raise
            raise self._out_of_memory(error) from None

    def _cap(self) -> None:
        """On CUDA the budget is a hard limit for the whole process."""
        budget = self.plan.config.budget
        if self.device.type == "cuda" and budget is not None and budget.on_exceed == "error":
            total = torch.cuda.get_device_properties(self.device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, budget.memory / total), self.device)

    def resume(self) -> None:
        """Continue where the run directory's last checkpoint stands."""
        position = checkpoint.load(self.session, self.run_dir.checkpoint)
        self.epoch, self.step = position.epoch, position.step

    def train(self) -> dict[str, Any]:
        """Train to the end; returns the summary, which is also in summary.json."""
        try:
            with self.interruption:
                test = self._epochs()
        except Stopped:
            self._save()
            raise self._interrupted("checkpoint saved") from None
        except KeyboardInterrupt:  # in the middle of a step, so its parameters are not worth keeping
            raise self._interrupted("the last checkpoint stands") from None
        except RunError:
            self._summary("failed", {})
            raise
        except RuntimeError as error:
            told = self._told(error)
            if told is None:
                raise
            self._summary("failed", {})
            raise told from None
        return self._summary("completed", test)

    def _told(self, error: RuntimeError) -> RunError | None:
        """What a person is told in place of torch's error; None where it has no known cause."""
        if ran_out(error):
            return self._out_of_memory(error, self.session.executor.running)
        if any(sign in str(error) for sign in NOT_FINITE):
            return self._diverged("the loss of a reconstruction is not finite")
        return None

    def _interrupted(self, what: str) -> Interrupted:
        self._summary("interrupted", {})
        help = (f"continue with: specc resume {self.run_dir.path}",)
        return Interrupted(f"interrupted in epoch {self.epoch + 1}; {what}", help)

    def _epochs(self) -> dict[str, float]:
        test: dict[str, float] = {}
        while self.epoch < self.config.epochs:
            lr = learning_rate(self.config.schedule, self.config.optimizer.lr, self.epoch, self.config.epochs)
            self.session.set_lr(lr)
            started = time.perf_counter()
            means = self._one_epoch()
            seconds = time.perf_counter() - started
            test = self.evaluate()
            row = {"epoch": self.epoch + 1, "lr": lr, "seconds": round(seconds, 3)}
            row |= {f"test_{k}": v for k, v in test.items()} | {f"train_{k}": v for k, v in means.items()}
            self.run_dir.add_metrics(row)
            self.progress.epoch_ends(row)
            self.epoch, self.step = self.epoch + 1, 0
            self._save()
        return test or self.evaluate()

    def _one_epoch(self) -> dict[str, float]:
        self.progress.epoch_begins(self.epoch, len(self.train_data))
        averages = Averages()
        for images, labels in self.train_data.epoch(self.epoch, self.step):
            self.interruption.grant()
            torch.manual_seed(step_seed(self.config.seed, self.epoch, self.step))
            result = self.clock.time(partial(self._step, images, labels))
            averages.add(_figures(result, labels), len(labels))
            loss = self._check(result) if self._looks(self.step) else None
            del result, images, labels  # or they would be there beside the next batch and count in the next step's peak
            self.step += 1
            self.taken += 1
            self.progress.step_done(self.step, loss)
        self.clock.collect()
        return averages.means()

    def _looks(self, step: int) -> bool:
        """Whether to read the loss now; on a GPU that waits for the device, so not every step."""
        return self.device.type == "cpu" or step % 50 == 0 or step == len(self.train_data) - 1

    def _step(self, images: Tensor, labels: Tensor) -> Step:
        if self.taken >= METERED_STEPS:
            return self.session.train_step(images, labels)
        with self.peak.watching(self.session.executor, self.meter.reading):
            result: Step = self.meter.measure(lambda: self.session.train_step(images, labels), (images, labels))
        if self.taken == METERED_STEPS - 1:
            self.check_budget()
        return result

    def _check(self, result: Step) -> float:
        for unit, total in result.total.items():
            if not math.isfinite(value := float(total)):
                raise self._diverged(f"the loss of `{unit}` is {value}")
        return value

    def _diverged(self, what: str) -> RunError:
        help = ("a lower `train.optimizer.lr` or a longer `train.schedule.warmup_epochs` usually helps",)
        return RunError(f"{what} in epoch {self.epoch + 1}, step {self.step + 1}", help)

    def check_budget(self) -> None:
        """Raise `BudgetExceeded` where the measured peak is over the budget, unless that is only worth a warning."""
        budget = self.plan.config.budget
        if budget is not None and self.meter.peak_bytes > budget.memory and budget.on_exceed == "error":
            where = self.peak.instruction
            raise over_budget(self.plan, self.meter.peak_bytes, where, self.run_dir.path, self._saved())

    def _saved(self) -> str:
        """What is left of the training."""
        if not (self.run_dir.checkpoint / "state.json").exists():
            return f"stopped in step {self.taken + 1}, no checkpoint was saved yet"
        return f"the checkpoint of epoch {self.epoch} stands" if self.epoch else "the last checkpoint stands"

    def _out_of_memory(self, error: Exception, where: Instruction | None = None) -> RunError:
        budget = self.plan.config.budget
        first = ". ".join(str(error).split(". ")[:2])  # what it is, and how much was asked for
        help = ("lower `data.batch_size`, or cut the backbone into more blocks (`split`)",)
        capped = self.device.type == "cuda" and budget is not None and budget.on_exceed == "error"
        if budget is not None and capped and obtainable(self.device) >= budget.memory:  # else other processes are why
            self.fits = False
            return did_not_fit(self.plan, first, where, self.run_dir.path, self._saved())
        return RunError(f"out of memory: {first}", help)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Accuracy and loss of the backbone alone on the test set."""
        averages = Averages()
        for images, labels in self.test_data.epoch(0):
            self.interruption.grant()
            logits = self.session.predict(images).float()
            figures = {"accuracy": (logits.argmax(1) == labels).float().mean(), "loss": F.cross_entropy(logits, labels)}
            averages.add(figures, len(labels))
        return averages.means()

    def _save(self) -> None:
        checkpoint.save(
            self.session, checkpoint.Position(self.epoch, self.step, self.plan.fingerprint), self.run_dir.checkpoint
        )

    def _summary(self, status: str, test: dict[str, float]) -> dict[str, Any]:
        budget = self.plan.config.budget
        self.clock.collect()
        seconds = statistics.median(self.clock.seconds[METERED_STEPS:] or self.clock.seconds or [0.0])
        peak = self.meter.peak_bytes
        summary = {
            "format_version": 1,
            "name": self.plan.name,
            "status": status,
            "spec_sha256": spec_hash(self.spec_text),
            "plan_fingerprint": self.plan.fingerprint,
            "device": str(self.device),
            "epochs": self.epoch,
            "steps": self.epoch * len(self.train_data) + self.step,
            "test": test,
            "memory": {
                "budget_bytes": budget.memory if budget else None,
                "predicted_peak_bytes": self.plan.memory.peak_bytes,
                "measured_peak_bytes": peak,
                "within_budget": self.fits and (budget is None or peak <= budget.memory),
                **self._on_device(),
            },
            "step_seconds_median": seconds,
            "images_per_second": self.plan.config.data.batch_size / seconds if seconds else 0.0,
        }
        self.run_dir.write_json("summary.json", summary)
        return summary

    def _on_device(self) -> dict[str, int | None]:
        """What only a GPU has to say of its memory."""
        if self.device.type != "cuda":
            return {}
        calibration = calibration_of(self.device)
        return {
            "requested_peak_bytes": self.meter.requested_bytes,
            "allocated_peak_bytes": self.meter.peak_bytes,
            "margin_bytes": calibration.margin(self.plan.memory.peak_bytes) if calibration else None,
        }


def step_seed(seed: int, epoch: int, step: int) -> int:
    """Seed of all that is drawn in one step (dropout), so that a resumed run draws what it would have drawn."""
    return int(Draws(seed, epoch).bits(np.array([step]), "step")[0])


def _figures(result: Step, labels: Tensor) -> dict[str, Tensor]:
    losses = {f"{unit}.{term}": value for unit, terms in result.losses.items() for term, value in terms.items()}
    return {"accuracy": (result.logits.argmax(1) == labels).float().mean(), **losses}


def open_data(plan: Plan) -> Splits:
    """The plan's data set; a missing one is a `RunError` that says where it was looked for."""
    data = plan.config.data
    fields: dict[str, Any] = data.model_dump() | {"root": expand_path(data.root), "seed": plan.config.train.seed}
    fields |= {key: tuple(fields[key]) for key in ("mean", "std") if fields[key]}
    try:
        return open_dataset(DataConfig(**fields))
    except DataError as error:
        raise RunError(str(error), tuple(error.help)) from None

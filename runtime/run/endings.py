"""What a person is told where a run ends before its time: what happened, what is left, what to type next."""

from __future__ import annotations

import math
import shlex
import signal
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from specc.plan import Instruction

from ..data import DataError
from ..engine.determinism import refused
from ..engine.device import obtainable, ran_out
from ..errors import Interrupted, RunError, WriteError
from .budget import did_not_fit
from .checkpoint import exists
from .state import RunState

NOT_FINITE = ("between 0 and 1", "device-side assert")  # what torch's bce makes of NaN, on a processor and on a GPU
ONE_VALUE = "Expected more than 1 value per channel"


def ending_for(run: RunState, error: BaseException) -> RunError | None:
    """What to say in place of an error; None where it has no known cause."""
    if isinstance(error, KeyboardInterrupt):  # in the middle of a step, so its parameters are not worth keeping
        return interrupted(run, what_is_saved(run), signal.SIGINT)
    if isinstance(error, WriteError):
        help = (what_is_saved(run), f"as soon as it can be written: {resume_command(run)}")
        return RunError(str(error), help)
    if isinstance(error, DataError):
        return RunError(str(error), (*error.help, what_is_saved(run), f"then: {resume_command(run)}"))
    if isinstance(error, RunError):
        return error
    if ran_out(error):
        return out_of_memory(run, error, run.session.executor.running)
    if any(sign in str(error) for sign in NOT_FINITE):
        return diverged(run, "the loss of a decoder is not finite", run.step + 1)
    if ONE_VALUE in str(error):
        return one_value(run)
    if told := refused(error):
        return not_deterministic(run, *told)
    return None


def resume_command(run: RunState) -> str:
    """What goes on with the run."""
    return f"specc resume {shlex.quote(str(run.run_dir.path))}"


def what_is_saved(run: RunState) -> str:
    """What is left of the training."""
    if run.saved:
        return f"the last checkpoint stands, of {run.saved}"
    return "the last checkpoint stands" if exists(run.run_dir.path) else "no checkpoint was saved yet"


def interrupted(run: RunState, what: str, number: int) -> Interrupted:
    """For a signal."""
    message = f"interrupted in epoch {min(run.epoch + 1, run.config.epochs)}; {what}"
    return Interrupted(message, (f"continue with: {resume_command(run)}",), number)


def diverged(run: RunState, what: str, step: int) -> RunError:
    """For numbers that are none."""
    help = ("a lower `train.optimizer.lr` or a longer `train.schedule.warmup_epochs` usually helps", what_is_saved(run))
    return RunError(f"{what} in epoch {run.epoch + 1}, step {step}", help)


def not_finite(values: Mapping[str, float]) -> str | None:
    """The first of several figures that is no number, in words."""
    return next((f"`{name}` is {value}" for name, value in values.items() if not math.isfinite(value)), None)


def first_not_finite(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """The name of the first tensor with a number in it that is none; a device is waited for once."""
    named = [(name, tensor) for name, tensor in tensors if tensor.is_floating_point()]
    sound = torch.stack([tensor.detach().isfinite().all() for _, tensor in named]).tolist()
    return next((name for (name, _), fine in zip(named, sound, strict=True) if not fine), None)


def one_value(run: RunState) -> RunError:
    """For torch's refusal to normalise one value, where the compiler could not see it coming."""
    where = run.session.executor.running
    at = f"at `{where}`" if where else "in the evaluation"
    help = (
        "another `data.batch_size`, so that no batch is of one image, or larger images",
        "`layer_norm` normalises each image by itself",
    )
    return RunError(f"a norm gets one value a channel {at}: one image, of which one pixel is left", help)


def not_deterministic(run: RunState, what: str, help: str) -> RunError:
    """For what `train.deterministic` forbids."""
    where = run.session.executor.running
    at = f"`{where}`" if where else "the evaluation"
    return RunError(f"{what}, which {at} needs", (help, what_is_saved(run)))


def out_of_memory(run: RunState, error: BaseException, where: Instruction | None = None) -> RunError:
    """For a device that is full; under a budget that is a hard limit there, the budget is what was exceeded."""
    budget = run.plan.config.budget
    first = ". ".join(str(error).split(". ")[:2])  # what it is, and how much was asked for
    capped = run.device.type == "cuda" and budget is not None and budget.on_exceed == "error"
    if budget is not None and capped and obtainable(run.device) >= budget.memory:  # else other processes are why
        run.fits = False
        return did_not_fit(run.plan, first, where, run.run_dir.path, what_is_left(run))
    help = ("lower `data.batch_size`, or cut the backbone into more blocks (`split`)",)
    return RunError(f"out of memory: {first}", help)


def what_is_left(run: RunState) -> str:
    """What is left of a training that is over its budget."""
    return (
        what_is_saved(run)
        if run.saved and run.saved.steps
        else f"stopped in step {run.taken + 1}, {what_is_saved(run)}"
    )

"""What a person is told where a run ends before its time: what happened, what is left, what to type next."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from specc.plan import Instruction
from specc.plan.instructions import Head
from specc.runs.checkpoints import exists
from specc.system.ranks import again

from ..data import DataError
from ..data.errors import described
from ..distributed.world import current
from ..engine.determinism import refused
from ..engine.device import obtainable, ran_out
from ..engine.executor import NotFinite
from ..engine.sharding import own_part
from ..errors import Interrupted, RunError, WriteError
from .budget import did_not_fit
from .state import RunState

NOT_FINITE = ("between 0 and 1", "device-side assert")  # what torch's bce makes of NaN, on a processor and on a GPU
ONE_VALUE = "Expected more than 1 value per channel"
MORE_MEMORY = "as soon as there is more memory"


def ending_for(run: RunState, error: BaseException) -> RunError | None:
    """What to say in place of an error; None where it has no known cause.

    Whatever is said of it, one line says what is left and one what to type.
    """
    if isinstance(error, KeyboardInterrupt):  # in the middle of a step, so its parameters are not worth keeping
        return interrupted(run, what_is_saved(run))
    if (world := current()) and (lost := world.lost(error)):
        lost.help = (*lost.help, *what_next(run, "then"))
        return lost
    if isinstance(error, WriteError):
        return _unwritable(run, error)
    if isinstance(error, DataError):
        return RunError(str(error), (*error.help, *what_next(run, "then")))
    if isinstance(error, RunError):
        return error
    if isinstance(error, NotFinite):
        return diverged_at(run, _of_rank(run, str(error)), run.step + 1)
    if ran_out(error):
        return out_of_memory(run, error, run.session.executor.running)
    return _from_words(run, error)


def _from_words(run: RunState, error: BaseException) -> RunError | None:
    """For errors that can be told by what they say alone, and for those of the system."""
    if told := refused(error):
        return not_deterministic(run, *told)
    if any(sign in str(error) for sign in NOT_FINITE):
        return diverged_at(run, _of_rank(run, f"{_loss_at(run)} is not finite"), run.step + 1)
    if ONE_VALUE in str(error):
        return one_value(run)
    if isinstance(error, OSError):
        return RunError(described(error), what_next(run, "then"))
    return None


def _of_rank(run: RunState, what: str) -> str:
    """What one of several ranks has found, of which the others know nothing."""
    return what if run.team.alone else f"rank {run.team.rank}: {what}"


def _loss_at(run: RunState) -> str:
    """The loss that was being computed."""
    where = run.session.executor.running
    return f"the loss `{where.head}` of `{where.unit}`" if isinstance(where, Head) else "the loss of a decoder"


def _unwritable(run: RunState, error: WriteError) -> RunError:
    path = run.run_dir.path
    if path.is_dir():
        return RunError(str(error), what_next(run, "as soon as it can be written"))
    help = ("nothing is left of it, unless it was moved", f"from where it is: {resume_command(run)}")
    return RunError(f"the run directory {path} is no longer there", help)


def resume_command(run: RunState) -> str:
    """What goes on with the run."""
    return shlex.join(again("resume", str(run.run_dir.path)))


def run_command(run: RunState, *overrides: str) -> str:
    """What begins the run anew with something changed."""
    return f"specc run {shlex.join([str(run.run_dir.path / 'spec.resolved.yaml'), *overrides])}"


def what_next(run: RunState, when: str) -> tuple[str, str]:
    """What is saved, and how to go on."""
    return what_is_saved(run), f"{when}: {resume_command(run)}"


def what_is_saved(run: RunState) -> str:
    """What is left of the training."""
    if run.saved:
        return f"the last checkpoint stands, of {run.saved}"
    return "the last checkpoint stands" if exists(run.run_dir.path) else "no checkpoint was saved yet"


def interrupted(run: RunState, what: str) -> Interrupted:
    """For a signal."""
    message = f"interrupted in epoch {min(run.epoch + 1, run.config.epochs)}; {what}"
    return Interrupted(message, (f"continue with: {resume_command(run)}",))


def diverged_at(run: RunState, what: str, step: int) -> RunError:
    """For numbers that are none, found in a step."""
    return diverged(run, f"{what} in epoch {run.epoch + 1}, step {step}")


def diverged(run: RunState, what: str) -> RunError:
    """For numbers that are none: a run that went on would come to them again."""
    lower = run_command(run, f"train.optimizer.lr={run.config.optimizer.lr / 10:.3g}")
    help = (what_is_saved(run), f"a lower learning rate or a longer `train.schedule.warmup_epochs` may help: {lower}")
    return RunError(what, help)


def not_finite(values: Mapping[str, float]) -> str | None:
    """The first of several figures that is no number, in words."""
    return next((f"`{name}` is {value}" for name, value in values.items() if not math.isfinite(value)), None)


def first_not_finite(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """The name of the first tensor with a number in it that is none; a device is waited for once.

    Of tensors in parts each rank looks at its own.
    """
    named = [(name, own_part(tensor)) for name, tensor in tensors if tensor.is_floating_point()]
    sound = torch.stack([tensor.detach().isfinite().all() for _, tensor in named]).tolist()
    return next((name for (name, _), fine in zip(named, sound, strict=True) if not fine), None)


def one_value(run: RunState) -> RunError:
    """For torch's refusal to normalise one value, where the compiler could not see it coming."""
    where = run.session.executor.running
    at = f"at `{where}`" if where else "in the evaluation"
    learns = run.plan.config.learns
    help = (
        f"another `data.batch_size`, so that no batch is of one {learns.sample}, or larger {learns.samples}",
        f"`layer_norm` normalises each {learns.sample} by itself",
        what_is_saved(run),
    )
    return RunError(f"a norm gets one value a channel {at}: one {learns.sample}, of which one position is left", help)


def not_deterministic(run: RunState, what: str, help: str) -> RunError:
    """For what `train.deterministic` forbids."""
    where = run.session.executor.running
    at = f"`{where}`" if where else "the evaluation"
    return RunError(f"{what}, which {at} needs", (help, what_is_saved(run)))


def out_of_memory(run: RunState, error: BaseException, where: Instruction | None = None) -> RunError:
    """For a device that is full; under a budget that is a hard limit there, the budget is what was exceeded."""
    budget = run.plan.config.budget
    first = ". ".join(str(error).split(". ")[:2]) or "the host has none left"  # what it is, and how much was asked for
    capped = run.device.type == "cuda" and budget is not None and budget.on_exceed == "error"
    if budget is not None and capped and obtainable(run.device) >= budget.memory:  # else other processes are why
        run.fits = False
        return did_not_fit(run.plan, run.own, first, where, run.run_dir.path, what_is_left(run))
    at = f" at `{where}`" if where else ""
    return RunError(f"out of memory{at}: {first}", (what_is_saved(run), _less_memory(run)))


def _less_memory(run: RunState) -> str:
    """A step that fitted before will fit again; one that never did takes a smaller batch."""
    half = run.plan.config.data.batch_size // 2
    if run.taken or not half:
        return f"{MORE_MEMORY}: {resume_command(run)}"
    return f"more blocks (`split`) take less memory, or half the batch: {run_command(run, f'data.batch_size={half}')}"


def what_is_left(run: RunState) -> str:
    """What is left of a training that is over its budget."""
    return (
        what_is_saved(run)
        if run.saved and run.saved.steps
        else f"stopped in step {run.taken + 1}, {what_is_saved(run)}"
    )

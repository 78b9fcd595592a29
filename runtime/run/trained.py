"""A run's network as one of its checkpoints has it, for who asks what it has learnt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from specc.diagnostics.notices import doing, notice
from specc.plan import Plan

from ..engine.device import choose, first_line, ran_out
from ..engine.session import Session
from ..errors import Interrupted, RunError
from . import checkpoint as checkpoints
from .rundir import RunDir
from .saving import load_model


@dataclass(frozen=True, slots=True)
class Trained:
    """A network with its tensors; `checkpoint` is what these are called, `position` where the run stood."""

    run: RunDir
    plan: Plan
    session: Session
    checkpoint: str
    position: str

    @property
    def facts(self) -> dict[str, object]:
        """What every document about it begins with."""
        return {
            "format_version": 1,
            "name": self.plan.name,
            "task": self.plan.config.task,
            "checkpoint": self.checkpoint,
            "position": self.position,
        }


def open_trained(folder: Path, checkpoint: str, device: str | None, gpu: int | None) -> Trained:
    """The network of a checkpoint: `last`, `best`, or after a number of steps."""
    run = RunDir(folder)
    plan = run.plan()
    found = chosen(run, plan, checkpoint)
    with explained(), doing("building the network"):
        session = Session(plan, choose(device, gpu), initialise=False)
        load_model(session, checkpoints.load_weights(found.path), found.path)
    return Trained(run, plan, session, found.path.name, str(found.position))


def chosen(run: RunDir, plan: Plan, checkpoint: str) -> checkpoints.Found:
    """A checkpoint of this plan, or of one that the run had before; others passed over for it are spoken of."""
    found = checkpoints.named(run.path, checkpoint)
    for warning in found.warnings:
        notice(f"warning: {warning}")
    if found.position.plan_fingerprint not in (plan.fingerprint, *run.environment().get("plans", ())):
        raise RunError(f"the checkpoint {found.path} belongs to another plan than the one in {run.path}")
    return found


@contextmanager
def explained() -> Iterator[None]:
    """Says what ends the asking, which leaves nothing behind that was not there before."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("interrupted; nothing was changed") from None
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not ran_out(error):
            raise
        help = ("`--device cpu` needs no GPU", "a run with a smaller `data.batch_size` takes less memory")
        raise RunError(f"out of memory: {first_line(error)}", help) from None


def finite(found: torch.Tensor, who: Trained) -> torch.Tensor:
    """Outputs that are numbers, or `RunError`."""
    if not found.isfinite().all():
        help = ("its training diverged: take an earlier checkpoint with `--checkpoint`, where there is one",)
        raise RunError(f"the network of `{who.plan.name}` gives outputs that are no numbers", help)
    return found

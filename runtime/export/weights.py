"""The tensors of a run's checkpoint, for who wants to predict with them."""

from __future__ import annotations

import os

from safetensors import SafetensorError

from ..engine.session import Session
from ..errors import RunError
from ..run.checkpoint import load_model, read_tensors
from ..run.durable import last_whole
from ..run.rundir import RunDir


def load_weights(session: Session, run: RunDir, checkpoint: str) -> str:
    """Put the model of a checkpoint (`last`, `best` or a number of steps) into a session; says where the run stood."""
    path = last_whole(run.checkpoint)
    if not os.path.exists(path / "model.safetensors"):
        help = (f"train it first: `specc resume {run.path}`",)
        raise RunError(f"the run in {run.path} has no checkpoint yet", help)
    try:
        load_model(session, read_tensors(path / "model.safetensors"), path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"the checkpoint {path} cannot be read: {error}") from None
    return "last"

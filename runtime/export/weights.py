"""The tensors of a run's checkpoint, for who wants to predict with them."""

from __future__ import annotations

from ..engine.session import Session
from ..run import checkpoint as checkpoints
from ..run.rundir import RunDir
from ..run.saving import load_model


def load_weights(session: Session, run: RunDir, checkpoint: str) -> str:
    """Put the model of a checkpoint (`last`, `best` or a number of steps) into a session; says where the run stood."""
    found = checkpoints.named(run.path, checkpoint)
    load_model(session, checkpoints.load_weights(found.path), found.path)
    return str(found.position)

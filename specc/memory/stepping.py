"""The optimizer's work, for whoever asks how long it takes."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph.ops import Shape, numel
from ..spec.sections.train import Train
from .storage import Allocator

HOST = "host/"  # before the name of what the host does


def tell_step(memory: Allocator, train: Train, networks: Sequence[Sequence[Shape]], where: str = "") -> None:
    """Parameters of these shapes, gradients and state are read, all but the gradients written."""
    size, tensors = 4 * sum(numel(shape) for own in networks for shape in own), sum(map(len, networks))
    state = sum(map(train.optimizer.state_bytes, networks))
    if train.clip is not None:
        memory.moves(f"{where}clip", 2 * size, size, calls=tensors)
    memory.moves(f"{where}step/{train.optimizer.name}", 2 * size + state, size + state, calls=tensors)
    if train.weight_average is not None:
        memory.moves(f"{where}average", 2 * size, size, calls=tensors)

"""The optimizer's work, for whoever asks how long it takes."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph.graph import Graph
from ..spec.sections.train import Train
from .storage import Allocator


def tell_step(memory: Allocator, train: Train, graphs: Sequence[Graph]) -> None:
    """Parameters, gradients and state are read, all but the gradients written."""
    size, tensors = 4 * sum(graph.parameter_count for graph in graphs), sum(len(g.parameters) for g in graphs)
    state = sum(train.optimizer.state_bytes(graph.parameters.values()) for graph in graphs)
    if train.clip is not None:
        memory.moves("clip", 2 * size, size, calls=tensors)
    memory.moves(f"step/{train.optimizer.name}", 2 * size + state, size + state, calls=tensors)
    if train.weight_average is not None:
        memory.moves("average", 2 * size, size, calls=tensors)

"""Where a traced network takes several inputs: the first calls take them out of the one tensor that a batch is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from specc.graph import ops
from specc.graph.ops import Op
from specc.tasks.inputs import Part, Parts, places

from .vocabulary import Candidate, rule

Heard = Callable[[Callable[..., Tensor]], Callable[..., Tensor]]


def input_taken(x: Tensor, start: int, stop: int) -> Tensor:
    """Some of a sample's numbers, as a tensor of their own: (N, stop - start)."""
    return x[:, start:stop].clone()


def input_shaped(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """In the shape that they had: (N, *shape)."""
    return x.reshape(x.shape[0], *shape)


def input_whole(x: Tensor, start: int, stop: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Some of a sample's numbers as whole numbers, or as truth values: (N, *shape)."""
    return x[:, start:stop].reshape(x.shape[0], *shape).to(dtype)


TAKING = (input_taken, input_shaped)


def unpacked(x: Tensor, parts: Parts, heard: Heard = lambda function: function) -> tuple[list[Tensor], dict[str, Any]]:
    """The arguments of a forward, by place and by name, out of (N, numbers); `heard` is told of calls."""
    found = [(part, _out(x, part, start, stop, heard)) for part, start, stop in places(parts)]
    return [x for part, x in found if not part.name], {part.name: x for part, x in found if part.name}


def _out(x: Tensor, part: Part, start: int, stop: int, heard: Heard) -> Tensor:
    if part.kind != "float32":
        return heard(input_whole)(x, start, stop, part.shape, getattr(torch, part.kind))
    found = x if (start, stop) == (0, x.shape[1]) else heard(input_taken)(x, start, stop)
    return found if len(part.shape) == 1 else heard(input_shaped)(found, part.shape)


def beside_readers(graph: Any, values: Sequence[dict[Any, Any]], scopes: dict[str, str]) -> None:
    """Have every call that reads floats of the batch take them out itself, in its own module, just before it reads.

    So nothing that a later block reads is alive, or crosses a cut, before that: the batch is there all along.
    """
    for node in reversed([node for node in graph.nodes if node.op == "call_function" and node.target in TAKING]):
        for reader in list(node.users):
            with graph.inserting_before(reader):
                copy = graph.node_copy(node)
            for each in values:
                each[copy] = each[node]
            scopes[copy.name] = scopes.get(reader.name, "")
            reader.replace_input_with(node, copy)
        graph.erase_node(node)
        for each in values:
            del each[node]


@rule("input_taken")
def _taken(part: Candidate) -> Op | None:
    return ops.Slice(part.argument(2, "stop"), part.argument(1, "start"))


@rule("input_shaped")
def _shaped(part: Candidate) -> Op | None:
    return ops.Reshape(part.shape)

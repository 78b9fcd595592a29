"""A plan's network as a torch module: nodes run in order, every value dies with its last reader."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from specc.backbone.graph import INPUT
from specc.backbone.ops import Op
from specc.plan import Network

from .modules import BUILDERS, BatchNorm


class GraphModule(nn.Module):
    """Executes one network; its tensors are known by their canonical names."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        graph = network.graph
        self.parts = nn.ModuleList(BUILDERS[node.op.name](node.op, node.in_shapes) for node in graph.nodes)
        for node, part in zip(graph.nodes, self.parts, strict=True):
            if node.name in graph.overwriting:
                part.inplace = True  # type: ignore[assignment]
        self._dying = _last_uses(network)

    def forward(self, x: Tensor) -> Tensor:
        """Run the graph on one batch."""
        values = {INPUT: x}
        del x  # the caller decides how long the input lives
        graph = self.network.graph
        for node, part, dying in zip(graph.nodes, self.parts, self._dying, strict=True):
            inputs = [values[name] for name in node.inputs]
            if node.op.name == "sigmoid" and node.name == graph.output:
                inputs = [at_least_fp32(value) for value in inputs]  # bf16 rounds 0.998 to 1, whose loss has no bound
            values[node.name] = part(*inputs)
            del inputs
            for name in dying:
                del values[name]
        return values[graph.output]

    def canonical_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters by canonical name."""
        for node, part in zip(self.network.graph.nodes, self.parts, strict=True):
            for name, tensor in part.named_parameters():
                yield f"{self.network.prefix}{node.name}.{name}", tensor

    def canonical_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Buffers by canonical name."""
        for node, part in zip(self.network.graph.nodes, self.parts, strict=True):
            for name, tensor in part.named_buffers():
                yield f"{self.network.prefix}{node.name}.{name}", tensor

    def track(self, on: bool) -> None:
        """Whether training forwards update the running statistics."""
        for part in self.parts:
            if isinstance(part, BatchNorm):
                part.tracking = on


def at_least_fp32(x: Tensor) -> Tensor:
    """Probabilities are close to one more often than half precision can say."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _last_uses(network: Network) -> list[tuple[str, ...]]:
    """For every node, the values that nobody reads after it."""
    graph = network.graph
    last = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    dying: list[list[str]] = [[] for _ in graph.nodes]
    for name, i in last.items():
        dying[i].append(name)
    return [tuple(names) for names in dying]


@torch.no_grad()
def initialise(name: str, tensor: Tensor, op: Op, seed: int) -> None:
    """Draw one parameter from (seed, name) alone, so that a network starts the same in every method.

    Convolutions: normal with variance 2 / (k² · out) (He et al. 2015, fan-out). Matrices: uniform within 1/√in, torch's
    default. Embeddings: normal with standard deviation 0.02 (Dosovitskiy et al. 2021). The rest starts as its op says.
    """
    constant = op.initial(name.rpartition(".")[2])
    if constant is not None:
        tensor.fill_(constant)
        return
    digest = hashlib.blake2b(f"{seed}:init:{name}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
    draw = torch.empty(tensor.shape, dtype=torch.float64)
    if tensor.dim() == 4:
        draw.normal_(generator=generator).mul_(math.sqrt(2 / (tensor.shape[0] * tensor.shape[2] * tensor.shape[3])))
    elif tensor.dim() == 2:
        draw.uniform_(-1, 1, generator=generator).div_(math.sqrt(tensor.shape[1]))
    else:
        draw.normal_(generator=generator).mul_(0.02)
    tensor.copy_(draw)

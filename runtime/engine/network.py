"""A plan's network as a torch module: nodes run in order, every value dies with its last reader."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from specc.graph.graph import IMAGES, INPUT, Graph
from specc.plan import Network

from .modules import BUILDERS, BatchNorm


class GraphModule(nn.Module):
    """Executes one network; its tensors are known by their canonical names."""

    def __init__(self, network: Network, graph: Graph | None = None, tensors: GraphModule | None = None) -> None:
        super().__init__()
        self.network = network
        graph = graph or network.graph
        self.parts = nn.ModuleList(BUILDERS[node.op.name](node.op, node.in_shapes) for node in graph.nodes)
        if tensors is not None:  # the same ones at another size
            for i, part in enumerate(tensors.parts):
                if next(part.parameters(), None) is not None or next(part.buffers(), None) is not None:
                    self.parts[i] = part
        self.others = nn.ModuleList(GraphModule(replace(network, others=()), other, self) for other in network.others)
        self.sharded = False
        self.used: list[nn.Parameter] = []  # of a sharded one its parameters in full, which its graph reads
        self.runs: list[Run] = []
        first = 0
        for piece, again in network.parts(graph) if graph.nodes else ():
            self.runs.append(Run(piece, list(self.parts)[first : first + len(piece.nodes)], again=again))
            first += len(piece.nodes)

    def forward(self, x: Tensor, images: Tensor | None = None, variant: int = 0) -> Tensor:
        """Run the graph on one batch, or one of its variants. Not every graph needs the images."""
        if self.sharded:
            self.used = list(self.parameters())
        return self.variant(variant).computed(x, images)

    def computed(self, x: Tensor, images: Tensor | None) -> Tensor:
        """The graph's result; the caller decides how long `x` lives."""
        read, record = [x], torch.is_grad_enabled()
        del x
        for run in self.runs:
            if run.again and record:
                read.append(checkpoint(run, read.pop(), images, use_reentrant=False, context_fn=run.contexts))
            else:
                read.append(run.take(read, images))
        return read.pop()

    def variant(self, number: int) -> GraphModule:
        """The module for inputs of another size, by the place of its graph in the network."""
        found = self.others[number - 1] if number else self
        assert isinstance(found, GraphModule)
        return found

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
        for run in self.runs:
            run.track(on)


class Run:
    """A piece of a network: nodes in order, every value dies with its last reader; may be computed `again`."""

    def __init__(self, graph: Graph, parts: list[nn.Module], *, again: bool) -> None:
        self.graph, self.parts, self.again = graph, parts, again
        for node, part in zip(graph.nodes, parts, strict=True):
            if node.name in graph.overwriting:
                part.inplace = True  # type: ignore[assignment]
        self.compiled: Callable[[Tensor, Tensor | None], Tensor] | None = None  # in place of what is written here
        self._dying = _last_uses(graph)
        self._norms = [part for part in parts if isinstance(part, BatchNorm)]

    def __call__(self, x: Tensor, images: Tensor | None = None) -> Tensor:
        """The piece's output."""
        return self.take([x], images)

    def take(self, read: list[Tensor], images: Tensor | None) -> Tensor:
        """The same; what it reads is taken from the list, so that nobody else need hold it."""
        return self.plain(read, images) if self.compiled is None else self.compiled(read.pop(), images)

    def plain(self, read: list[Tensor], images: Tensor | None) -> Tensor:
        """Op by op."""
        values = {INPUT: read.pop()}
        if images is not None:
            values[IMAGES] = images
        for node, part, dying in zip(self.graph.nodes, self.parts, self._dying, strict=True):
            inputs = [values[name] for name in node.inputs]
            if node.op.autocast == "full":
                inputs = [at_least_fp32(value) for value in inputs]
            values[node.name] = part(*inputs)
            del inputs
            for name in dying:
                del values[name]
        return values[self.graph.output]

    def track(self, on: bool) -> None:
        """Whether training forwards update the running statistics."""
        for norm in self._norms:
            norm.tracking = on

    def contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """What surrounds the forward, and what surrounds each recomputation."""
        return nullcontext(), Untracked(self)


class Untracked(AbstractContextManager[None]):
    """A second pass over a batch, which must not count twice in the running statistics; may be entered again."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __enter__(self) -> None:
        self.run.track(False)

    def __exit__(self, *_: object) -> None:
        self.run.track(True)


def at_least_fp32(x: Tensor) -> Tensor:
    """bf16 and fp16 widened, fp32 and fp64 as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _last_uses(graph: Graph) -> list[tuple[str, ...]]:
    """For every node, the values that nobody reads after it."""
    last = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    dying: list[list[str]] = [[] for _ in graph.nodes]
    for name, i in last.items():
        dying[i].append(name)
    return [tuple(names) for names in dying]


@torch.no_grad()
def initialise(name: str, tensor: Tensor, constant: float | None, seed: int) -> None:
    """Draw one parameter from (seed, name) alone, so that a network starts the same in every method.

    Convolutions: normal with variance 2 / (k² · out) (He et al. 2015, fan-out). Matrices: uniform within 1/√in, torch's
    default. Embeddings: normal with standard deviation 0.02 (Dosovitskiy et al. 2021). The rest is filled with the
    constant that its op gives.
    """
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

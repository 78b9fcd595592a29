"""A plan's network as a torch module: nodes run in order, every value dies with its last reader."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from specc.graph.graph import IMAGES, INPUT, Graph
from specc.plan import Network

from .modules import BUILDERS, BatchNorm

Compiled = Callable[[Tensor, Tensor | None, tuple[Tensor, ...]], Sequence[Tensor]]


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
            own = list(self.parts)[first : first + len(piece.nodes)]
            self.runs.append(Run(piece, own, [graph.reads.index(skip) for skip in piece.reads], again=again))
            first += len(piece.nodes)

    def forward(
        self, x: Tensor, images: Tensor | None = None, variant: int = 0, skips: Sequence[Tensor] = ()
    ) -> Tensor | tuple[Tensor, ...]:
        """Run the graph on one batch, or one of its variants. Not every graph needs the images.

        Of a graph that gives something beside its last value both are returned.
        """
        if self.sharded:
            self.used = list(self.parameters())
        out, *given = self.variant(variant).computed(x, images, skips)
        return (out, *given) if given else out

    def computed(self, x: Tensor, images: Tensor | None, skips: Sequence[Tensor] = ()) -> list[Tensor]:
        """The graph's results; the caller decides how long `x` lives."""
        read, given, record = [x], list[Tensor](), torch.is_grad_enabled()
        del x
        for run in self.runs:
            beside = [skips[i] for i in run.reads]
            out, *more = run.once_more(read, images, beside) if run.again and record else run.take(read, images, beside)
            read.append(out)
            given += more
            del out, more
        return [read.pop(), *given]

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

    def __init__(self, graph: Graph, parts: list[nn.Module], reads: Sequence[int], *, again: bool) -> None:
        self.graph, self.parts, self.again = graph, parts, again
        self.reads = reads  # which of the network's skips
        for node, part in zip(graph.nodes, parts, strict=True):
            if node.name in graph.overwriting:
                part.inplace = True  # type: ignore[assignment]
        self.compiled: Compiled | None = None  # in place of what is written here
        self._dying = _last_uses(graph)
        self._norms = [part for part in parts if isinstance(part, BatchNorm)]

    def __call__(self, x: Tensor, images: Tensor | None = None, *skips: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The piece's output, and what it gives beside it."""
        out, *given = self.take([x], images, skips)
        return (out, *given) if given else out

    def once_more(self, read: list[Tensor], images: Tensor | None, skips: Sequence[Tensor]) -> Sequence[Tensor]:
        """The same, which the backward computes again."""
        found = checkpoint(self, read.pop(), images, *skips, use_reentrant=False, context_fn=self.contexts)
        return found if isinstance(found, tuple) else (found,)

    def take(self, read: list[Tensor], images: Tensor | None, skips: Sequence[Tensor] = ()) -> Sequence[Tensor]:
        """All of it; what it reads is taken from the list, so that nobody else need hold it."""
        if self.compiled is None:
            return self.plain(read, images, skips)
        return self.compiled(read.pop(), images, tuple(skips))

    def plain(self, read: list[Tensor], images: Tensor | None, skips: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Op by op."""
        values = {INPUT: read.pop()} | {skip.name: x for skip, x in zip(self.graph.reads, skips, strict=True)}
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
        return (values[self.graph.output], *(values[name] for name in self.graph.gives))

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
    last = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs if name not in graph.gives}
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

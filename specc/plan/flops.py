"""FLOPs of a training step: a backward through all of a graph costs twice its forward, one to its input alone once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import assert_never

from ..graph.crossing import learning
from ..graph.graph import INPUT, Graph
from .communication import Receive, ReceiveSources, Reduce, Send, SendSources
from .instructions import (
    Backward,
    Branch,
    BranchBackward,
    EmaUpdate,
    Extension,
    Forward,
    Free,
    Head,
    Instruction,
    Step,
)
from .model import HeadPlan, LinkPlan, Network, Plan, Unit
from .moving import Evict, Load

Networks = Mapping[str, Network]


def step_flops(plan: Plan) -> int:
    """FLOPs of one step for one image, the optimizer's left out."""
    return plan.config.views * flops_of(plan.instructions, plan.networks, plan.units)


def flops_of(instructions: Iterable[Instruction], networks: Networks, units: Iterable[Unit]) -> int:
    """FLOPs of instructions for one image, which is in one slice of the batch."""
    by_name = {unit.name: unit for unit in units}
    return sum(_flops(i, networks, by_name) for i in instructions if i.slice == 0)


def _flops(i: Instruction, networks: Networks, units: Mapping[str, Unit]) -> int:
    match i:
        case Forward():
            return networks[f"block{i.block}"].graph.flops
        case Backward():
            network = networks[f"block{i.block}"]
            return _backward(network.graph, i) + again(network, learns=i.block > 0)
        case Head():
            return _head(next(head for head in units[i.unit].heads if head.name == i.head), networks)
        case Branch() | BranchBackward():
            forward = isinstance(i, Branch)
            return sum(_link(link, networks, forward=forward) for link in units[i.unit].links)
        case Extension():
            return i.flops
        case EmaUpdate() | Step() | Free() | Reduce() | Send() | Receive() | SendSources() | ReceiveSources():
            return 0
        case Load() | Evict():
            return 0
        case _:
            assert_never(i)


def _backward(graph: Graph, i: Backward) -> int:
    """Of a node a gradient for its parameters and one for its input; nothing before what is trained."""
    if not any(node.frozen for node in graph.nodes):
        return 2 * graph.flops
    entered = [INPUT] if i.leaf else []
    learns = learning(graph.nodes, [*entered, *(skip.name for skip in graph.reads)])
    return sum(node.flops * (1 if node.frozen else 2) for node in graph.nodes if node.name in learns)


def again(network: Network, *, learns: bool) -> int:
    """FLOPs of what the backward computes again; whether the network's input has a gradient."""
    parts = network.parts(network.graph)
    return sum(flops_again(part, learns=learns or i > 0) for i, (part, twice) in enumerate(parts) if twice)


def flops_again(graph: Graph, *, learns: bool) -> int:
    """FLOPs of computing a graph again, as torch does: until the last op that keeps something has all that it keeps."""
    total = until = 0
    needed = {INPUT, *(skip.name for skip in graph.reads)} if learns else set()
    for node in graph.simple:
        if node.trained or not needed.isdisjoint(node.inputs):
            needed.add(node.name)
            if node.saved.anything:
                until = total + node.flops * node.saved.own
        total += node.flops
    return until


def _head(head: HeadPlan, networks: Networks) -> int:
    """Forward and backward of all patches; sequential outputs take one more forward."""
    passes = 4 if head.patches and head.patches.execution == "sequential" and head.patches.fuse == "outputs" else 3
    return passes * sum(graph.flops for graph in head.graphs(networks))


def _link(link: LinkPlan, networks: Networks, *, forward: bool) -> int:
    """Both branches forward; backward twice as much through the trained one, once through the averaged one."""
    ema, bias = networks[link.ema].graph.flops, networks[link.bias].graph.flops if link.bias else 0
    if link.mode == "parameter":
        return ema if forward else 2 * ema
    return ema + bias if forward else ema + 2 * bias

"""FLOPs of a training step: a backward through all of a graph costs twice its forward, one to its input alone once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from . import HeadPlan, Instruction, LinkPlan, Network, Plan, Unit

Networks = Mapping[str, Network]


def step_flops(plan: Plan) -> int:
    """FLOPs of one step for one image, the optimizer's left out."""
    return plan.config.views * sum(instruction_flops(i, plan.networks, plan.units) for i in plan.instructions)


def instruction_flops(i: Instruction, networks: Networks, units: Iterable[Unit]) -> int:
    """FLOPs of one instruction for one image."""
    if i.kind == "forward":
        return networks[f"block{i.block}"].graph.flops
    if i.kind == "backward":
        network = networks[f"block{i.block}"]
        return (3 if network.pieces else 2) * network.graph.flops  # recomputation runs the forward again
    if i.kind not in ("head", "branch", "branch_backward"):
        return 0
    unit = next(unit for unit in units if unit.name == i.unit)
    if i.kind == "head":
        return _head(next(head for head in unit.heads if head.name == i.head), networks)
    return sum(_link(link, networks, forward=i.kind == "branch") for link in unit.links)


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

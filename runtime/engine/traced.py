"""Whether a traced network is what is installed: its graph may come out of a cache, and a cache from anywhere."""

from __future__ import annotations

from dataclasses import replace

from specc.graph.families.traced_family import TracedFamily
from specc.graph.graph import Graph
from specc.graph.ops.opaque import Opaque
from specc.graph.problems import BackboneError
from specc.plan import Plan
from specc.system.environment import cache_folder

from ..errors import RunError
from ..trace.laboratory import trace


def check_traced(plan: Plan) -> None:
    """Raise `RunError` unless every block of a traced network does what the network does that is installed."""
    backbone = plan.config.backbone
    if not isinstance(backbone, TracedFamily):
        return
    source = backbone.source(plan.data.shape, plan.data.classes, plan.data.vocabulary)
    try:
        graph, first = backbone.read(plan.data.shape, trace(source, measured=False)), 0
    except BackboneError as error:
        raise RunError(str(error), tuple(help for problem in error.problems for help in problem.help)) from None
    for block in plan.blocks:
        last = first + len(block.layers) - 1
        if last >= len(graph.layers) or _numbers(graph.part(first, last)) != _numbers(plan.networks[block.name].graph):
            message = f"`{block.name}` is not as {source.kind}'s `{source.name}` has it"
            help = f"the traced model in {cache_folder() / source.kind} is of something else: remove it, and run again"
            raise RunError(message, (help,))
        first = last + 1


def _numbers(graph: Graph) -> Graph:
    """What the results depend on."""
    nodes = (replace(n, frozen=False) for n in graph.nodes)  # whatever the spec trains of it
    nodes = (replace(n, op=replace(n.op, footprints=())) if isinstance(n.op, Opaque) else n for n in nodes)
    return replace(graph, nodes=tuple(nodes))

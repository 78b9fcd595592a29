"""How many parameters a plan has, and of what."""

from __future__ import annotations

from .model import Plan


def frozen_count(plan: Plan) -> int:
    """How many of the backbone's stay as they are."""
    graphs = (network.graph for network in plan.networks.values())
    return sum(node.parameter_count for graph in graphs for node in graph.nodes if node.frozen)


def parameter_counts(plan: Plan) -> dict[str, int]:
    """Those of the backbone, and those of all that trains beside it, averaged copies included."""
    counted = {"backbone": 0, "auxiliary": 0}
    for network in plan.networks.values():
        counted["auxiliary" if network.prefix else "backbone"] += network.graph.parameter_count
    return counted

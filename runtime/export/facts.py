"""What stands beside the weights in every export: what goes in, what comes out, where it is from. All of it is text."""

from __future__ import annotations

import json

import specc
from specc.plan import Plan, Unit
from specc.tasks.datasets import AXES, ResolvedData

INPUT = "images in 0..1, minus mean, divided by std; float32 of (N, {axes})"
TOKENS = "tokens 0 to {most}; int64 of (N, {axes})"
SEVERAL = "all numbers of several inputs side by side, each in the order of its axes; float32 of (N, {numbers})"


def _input(data: ResolvedData) -> str:
    """What the network is given."""
    axes = ", ".join(AXES[len(data.shape)])
    if data.vocabulary:
        return TOKENS.format(most=data.vocabulary - 1, axes=axes)
    return SEVERAL.format(numbers=data.shape[0]) if data.parts else INPUT.format(axes=axes)


def facts(plan: Plan, unit: Unit | None, trained: str) -> dict[str, str]:
    """Names and values; `trained` is where the run stood. Lists are JSON; what nobody knows is left out."""
    data = plan.data
    axes: dict[str, int] = dict(zip(AXES[len(data.shape)], data.shape, strict=True))
    several = [{"name": part.name, "shape": list(part.shape), "kind": part.kind} for part in data.parts]
    known = {
        "specc": specc.__version__,
        "name": plan.name,
        "plan_fingerprint": plan.fingerprint,
        "task": plan.config.task,
        "dataset": plan.data.name,
        "network": unit.name if unit else "backbone",
        "trained": trained,
        "input": _input(data),
        **({} if several else axes | {"mean": list(data.mean), "std": list(data.std)}),
        "inputs": several,
        "classes": plan.data.classes,
        "class_names": list(plan.data.class_names),
    }
    said = {name: value for name, value in known.items() if value != []}
    return {
        name: value if isinstance(value, str) else json.dumps(value, allow_nan=False) for name, value in said.items()
    }

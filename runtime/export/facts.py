"""What stands beside the weights in every export: what goes in, what comes out, where it is from. All of it is text."""

from __future__ import annotations

import json

import specc
from specc.plan import Plan, Unit

INPUT = "images in 0..1, minus mean, divided by std; float32 of (N, channels, height, width)"


def facts(plan: Plan, unit: Unit | None, trained: str) -> dict[str, str]:
    """Names and values; `trained` is where the run stood. Lists are JSON; what nobody knows is left out."""
    channels, height, width = plan.data.shape
    known = {
        "specc": specc.__version__,
        "name": plan.name,
        "plan_fingerprint": plan.fingerprint,
        "task": plan.config.task,
        "dataset": plan.data.name,
        "network": unit.name if unit else "backbone",
        "trained": trained,
        "input": INPUT,
        "channels": channels,
        "height": height,
        "width": width,
        "mean": list(plan.data.mean),
        "std": list(plan.data.std),
        "classes": plan.data.classes,
        "class_names": list(plan.data.class_names),
    }
    said = {name: value for name, value in known.items() if value != []}
    return {
        name: value if isinstance(value, str) else json.dumps(value, allow_nan=False) for name, value in said.items()
    }

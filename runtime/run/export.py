"""The trained backbone alone, for use elsewhere, under torchvision's names where torchvision has the model."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from specc.plan import Plan

from ..errors import RunError
from .checkpoint import read_tensors
from .durable import last_whole, new_file, writing
from .rundir import RunDir

Names = Literal["torchvision", "canonical"]
SUFFIXES = (".safetensors", ".pt")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    path: Path
    names: Names
    tensors: int


def export(folder: Path, names: Names | None = None, target: Path | None = None) -> Exported:
    """Write the backbone of the run's last checkpoint, by default to ``backbone.safetensors`` in the run directory."""
    run = RunDir(folder)
    path = target or folder / f"backbone{SUFFIXES[0]}"
    if path.suffix not in SUFFIXES:
        raise RunError(f"{path} has no known ending", (f"use one of {', '.join(SUFFIXES)}",))
    plan = run.plan()
    chosen = names or ("torchvision" if has_torchvision_names(plan) else "canonical")
    state = backbone_state(plan, _checkpoint(run), chosen)
    _write(state, path, {"format": "pt", "names": chosen, "plan_fingerprint": plan.fingerprint})
    return Exported(path, chosen, len(state))


def backbone_state(plan: Plan, tensors: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    """The backbone's parameters and buffers out of all tensors of a plan; raises `RunError` when that cannot be."""
    own = backbone_names(plan)
    missing = [name for name in own if name not in tensors]
    if missing:
        raise RunError(f"the checkpoint lacks tensors of the backbone (for example {', '.join(missing[:3])})")
    if names == "canonical":
        return {name: tensors[name] for name in own}
    renamed = {name: _torchvision_name(plan, name) for name in own}
    if None in renamed.values():
        message = f"torchvision has no model of the backbone of `{plan.name}`, so there are no names to give"
        raise RunError(message, ("export it with `--format canonical`",))
    return {str(new): tensors[name] for name, new in renamed.items()}


def backbone_names(plan: Plan) -> list[str]:
    """The canonical names of the backbone's tensors in the order of the network."""
    nodes = (node for block in plan.blocks for node in plan.networks[block.name].graph.nodes)
    return [f"{node.name}.{tensor}" for node in nodes for tensor in (*node.parameters, *node.buffers)]


def has_torchvision_names(plan: Plan) -> bool:
    """Whether torchvision has a model of the backbone."""
    return all(_torchvision_name(plan, name) is not None for name in backbone_names(plan))


def _torchvision_name(plan: Plan, name: str) -> str | None:
    rename = getattr(plan.config.backbone, "torchvision_name", None)
    found: str | None = rename(name) if rename else None
    return found


def _checkpoint(run: RunDir) -> dict[str, Tensor]:
    path = last_whole(run.checkpoint) / "model.safetensors"
    if not os.path.exists(path):
        help = (f"train it first: `specc resume {run.path}`",)
        raise RunError(f"the run in {run.path} has no checkpoint yet", help)
    try:
        return read_tensors(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"the checkpoint {path} cannot be read: {error}") from None


def _write(state: dict[str, Tensor], path: Path, facts: dict[str, str]) -> None:
    """Write the file; a crash or a full disk leaves no half of it."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as temporary:
        if path.suffix == ".pt":
            content = io.BytesIO()  # or torch would say of a full disk that a position is unexpected
            torch.save(state, content)
            temporary.write_bytes(content.getbuffer())
        else:
            save_file(state, temporary, facts)

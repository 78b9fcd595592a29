"""Checkpoints: tensors as safetensors under canonical names, the position of the run as JSON."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .errors import RunError
from .session import Session


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands: the next step to take."""

    epoch: int
    step: int  # within the epoch
    plan_fingerprint: str


def save(session: Session, position: Position, folder: Path) -> None:
    """Write the checkpoint beside the old one, then put it in its place."""
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(_on_cpu(session.model.tensors()), temporary / "model.safetensors")
    save_file(_on_cpu(optimizer_tensors(session)), temporary / "optimizer.safetensors")
    state = asdict(position) | {"scaler": session.scaler.state_dict()}
    (temporary / "state.json").write_text(json.dumps(state, indent=2, allow_nan=False))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def optimizer_tensors(session: Session) -> dict[str, Tensor]:
    """Optimizer state as ``parameter/slot``."""
    names = {id(parameter): name for name, parameter in session.named_parameters()}
    return {
        f"{names[id(parameter)]}/{slot}": value
        for optimizer in session.optimizers.values()
        for parameter, state in optimizer.state.items()
        for slot, value in state.items()
        if isinstance(value, Tensor)
    }


def load(session: Session, folder: Path) -> Position:
    """Put a checkpoint into the session and say where it stands; raises `RunError` when it does not fit."""
    try:
        state: dict[str, Any] = json.loads((folder / "state.json").read_text())
        model = load_file(folder / "model.safetensors")
        optimizer = load_file(folder / "optimizer.safetensors")
        position = Position(state["epoch"], state["step"], state["plan_fingerprint"])
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise RunError(
            f"the checkpoint in {folder} cannot be read: {error}", ("start the run anew with `specc run`",)
        ) from None
    if position.plan_fingerprint != session.plan.fingerprint:
        raise RunError(f"the checkpoint in {folder} belongs to another plan", ("resume it from its own run directory",))
    load_model(session, model, folder)
    _load_optimizer(session, optimizer)
    session.scaler.load_state_dict(state["scaler"])
    return position


@torch.no_grad()
def load_model(session: Session, tensors: dict[str, Tensor], where: Path) -> None:
    """Copy tensors into the model by canonical name."""
    own = session.model.tensors()
    if set(own) != set(tensors) or any(own[name].shape != tensors[name].shape for name in own):
        differing = sorted(set(own) ^ set(tensors))[:3]
        raise RunError(f"the tensors in {where} are not those of the plan (for example {', '.join(differing)})")
    for name, tensor in own.items():
        tensor.copy_(tensors[name])


def _load_optimizer(session: Session, tensors: dict[str, Tensor]) -> None:
    parameters = dict(session.named_parameters())
    owner = {id(p): o for o in session.optimizers.values() for group in o.param_groups for p in group["params"]}
    for key, tensor in tensors.items():
        name, _, slot = key.rpartition("/")
        parameter = parameters[name]
        if slot != "step":  # lies in memory as its parameter does, which fused steps rely on
            tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
        owner[id(parameter)].state[parameter][slot] = tensor.to(parameter.device)

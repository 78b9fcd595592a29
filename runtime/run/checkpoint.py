"""Checkpoints: tensors as safetensors under canonical names, the position of the run as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from specc.system import files

from ..engine.session import Session
from ..errors import RunError
from .durable import last_whole, new_folder


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run has measured so far, and where: a part of it that takes no step measures nothing."""

    device: str = ""
    peak_bytes: int = 0
    requested_bytes: int = 0
    step_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands: the next step to take, and what the steps before it took."""

    epoch: int
    step: int  # within the epoch; as many as the epoch has where its evaluation is next
    plan_fingerprint: str
    seconds: float = 0.0  # of this epoch so far
    figures: Figures = Figures()

    def __str__(self) -> str:
        if self.step:
            return f"epoch {self.epoch + 1}, step {self.step}"
        return f"the end of epoch {self.epoch}" if self.epoch else "the beginning"


def save(session: Session, position: Position, folder: Path, sums: Mapping[str, Tensor] | None = None) -> None:
    """Put a new checkpoint in the place of the old one; `sums` are those of the epoch's figures so far."""
    with new_folder(folder) as new:
        save_file(_on_cpu(session.model.tensors()), new / "model.safetensors")
        save_file(_on_cpu(optimizer_tensors(session)), new / "optimizer.safetensors")
        save_file(_on_cpu(sums or {}), new / "averages.safetensors")
        state = asdict(position) | {"scaler": session.scaler.state_dict()}
        (new / "state.json").write_text(json.dumps(state, indent=2, allow_nan=False))


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
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


def exists(folder: Path) -> bool:
    """Whether a checkpoint was saved."""
    return os.path.isdir(last_whole(folder))


def load(session: Session, folder: Path) -> tuple[Position, dict[str, Tensor]]:
    """Put a checkpoint into the session; says where it stands, and the sums of the epoch so far."""
    try:
        whole = last_whole(folder)
        state: dict[str, Any] = files.mapping(files.read(whole / "state.json"))
        model, optimizer, sums = (read_tensors(whole / f"{n}.safetensors") for n in ("model", "optimizer", "averages"))
        scaler, figures = state.pop("scaler"), Figures(**state.pop("figures"))
        position = Position(int(state.pop("epoch")), int(state.pop("step")), **state, figures=figures)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise _damaged(folder, str(error)) from None
    if position.plan_fingerprint != session.plan.fingerprint:
        raise RunError(f"the checkpoint in {folder} belongs to another plan", ("resume it from its own run directory",))
    load_model(session, model, folder)
    try:
        _load_optimizer(session, optimizer)
        session.scaler.load_state_dict(scaler)
    except (KeyError, RuntimeError) as error:
        raise _damaged(folder, str(error)) from None
    return position, sums


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, which must be a regular one."""
    files.check_regular(path)
    return load_file(path)


def _damaged(folder: Path, reason: str) -> RunError:
    return RunError(f"the checkpoint in {folder} cannot be read: {reason}", ("start the run anew with `specc run`",))


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

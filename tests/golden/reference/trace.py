"""Writes a trace: section 3 of the README."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .backbone import Config
from .heads import normalisation
from .methods import evaluate, step
from .tensors import Tensors, figures, generator


def trace(config: Config) -> dict[str, Any]:
    """Everything a golden file says about a configuration."""
    single, tensors = single_step(config)
    shapes = {name: list(parameter.shape) for name, parameter in tensors.parameters.items()}
    return {"config": config, "parameter_shapes": shapes, "single_step": single, "three_steps": three_steps(config)}


def batch(config: Config, suffix: str = "") -> tuple[Tensor, Tensor]:
    n, size = config["batch_size"], config["image_size"]
    mean, std = normalisation(config)
    images = torch.from_numpy(generator("input:images" + suffix).random((n, 3, size, size)))
    labels = torch.from_numpy(generator("input:labels" + suffix).integers(0, config["classes"], n))
    return (images - mean) / std, labels


def single_step(config: Config) -> tuple[dict[str, Any], Tensors]:
    t, (images, labels) = Tensors(), batch(config)
    losses, logits = step(t, config, images, labels)
    averages = {name: figures(name, p) for name, p in t.parameters.items() if ".ema." in name}
    grads = {name: None if p.grad is None else figures(name, p.grad) for name, p in t.parameters.items()}
    buffers = {name: figures(name, buffer) for name, buffer in t.running.items()}
    single = {"labels": labels.tolist(), "losses": losses, "logits": logits.tolist(), "grads": grads}
    return single | {"bn_buffers_after_forward": buffers, "ema_params_after_forward": averages}, t


def three_steps(config: Config) -> dict[str, Any]:
    t, steps, rule = Tensors(), [], config["optimizer"]
    optimizer = None
    for i in range(3):
        images, labels = batch(config, f":step{i}")
        if optimizer:
            optimizer.zero_grad()
        losses, logits = step(t, config, images, labels)
        optimizer = optimizer or torch.optim.SGD(
            [p for p in t.parameters.values() if p.requires_grad],
            **{key: rule[key] for key in ("lr", "momentum", "nesterov", "weight_decay", "dampening")},
        )
        optimizer.step()
        steps.append({"labels": labels.tolist(), "losses": losses, "logits": logits.tolist()})
    images, labels = batch(config, ":eval")
    return {
        "steps": steps,
        "params": {name: figures(name, parameter) for name, parameter in t.parameters.items()},
        "bn_buffers": {name: figures(name, buffer) for name, buffer in t.running.items()},
        "bn_num_batches_tracked": dict(t.batches),
        "eval_logits": evaluate(t, config, images).tolist(),
        "eval_labels": labels.tolist(),
    }

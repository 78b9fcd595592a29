"""A backbone under torchvision's names: a state that torchvision's own model of the same network takes, all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torchvision.models as models
from torch import Tensor, nn

from specc.graph.families.base import Family
from specc.graph.families.twins import NoTwin, Twin

from ..errors import RunError
from .trained import Trained


def state(trained: Trained) -> dict[str, Tensor]:
    """The backbone's tensors under torchvision's names; `RunError` where torchvision has no such model."""
    _twin(trained)
    backbone: Any = trained.plan.config.backbone
    return {str(backbone.torchvision_name(name)): tensor for name, tensor in trained.tensors.items()}


def loaded(trained: Trained, state: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """torchvision's model with a state, which has to fit it to the last name."""
    twin = _twin(trained)
    model = build(twin, trained.plan.data.classes)
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise RunError(
            f"torchvision's `{twin.builder}` is another network: {' '.join(str(error).split())[:300]}"
        ) from None
    model.eval()
    channels = 3

    @torch.no_grad()
    def run(images: Tensor) -> Tensor:
        found: Any = model(images.expand(-1, channels, -1, -1))  # grey ones are read as coloured ones
        logits: Tensor = found["out"] if isinstance(found, dict) else found
        return logits

    return run


def build(twin: Twin, classes: int) -> nn.Module:
    """torchvision's model, untrained."""
    options = {"num_classes": classes, **twin.options}
    if twin.builder in models.list_models():
        found: nn.Module = models.get_model(twin.builder, weights=None, **options)
        return found
    kind: Callable[..., nn.Module] = getattr(models, twin.builder)
    return kind(**options)


def _twin(trained: Trained) -> Twin:
    if trained.unit is not None:
        raise RunError("torchvision's models have no early exits", ("leave --unit away, or take another format",))
    backbone = trained.plan.config.backbone
    try:
        if not isinstance(backbone, Family):
            raise NoTwin("a backbone made of layers is nobody's but yours")
        return backbone.twin(trained.plan.data.shape)
    except NoTwin as error:
        message = f"torchvision has no model of the backbone of `{trained.plan.name}`: {error}"
        raise RunError(
            message, ("take another format: `--to safetensors`, `--to torch_export` or `--to onnx`",)
        ) from None

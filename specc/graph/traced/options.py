"""The arguments of a model of torchvision with which it is the one that is trained."""

from __future__ import annotations

from typing import Any

from ..ops import Shape

SEGMENTING = ("deeplabv3_", "fcn_", "lraspp_")  # how the names of models of segmentation begin


def options(model: str, image: Shape) -> dict[str, Any]:
    """Those for images of a shape."""
    if model.startswith("vit_"):
        return {"image_size": image[1]}
    if model.startswith("maxvit"):
        return {"input_size": image[1:]}
    if model in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "init_weights": False}
    if model.startswith(SEGMENTING):
        return {"aux_loss": False, "weights_backbone": None}
    return {}

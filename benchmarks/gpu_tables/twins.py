"""Which model of torchvision is one of timm's, op for op, and on which image size it was measured.

Weights of other trainings have names of their own (`tv_`, `gluon_`, `swsl_`, `tf_`, ..., `_in21ft1k`). `tf_` models pad
as TensorFlow does, which copies some maps; timm's VGG has its first linear layer as a convolution.
"""

from __future__ import annotations

import re

_TWINS = {
    "resnet18": "resnet18", "resnet34": "resnet34", "resnet50": "resnet50", "resnet101": "resnet101",
    "resnet152": "resnet152", "wide_resnet50_2": "wide_resnet50_2", "wide_resnet101_2": "wide_resnet101_2",
    "resnext50_32x4d": "resnext50_32x4d", "resnext101_32x8d": "resnext101_32x8d",
    "resnext101_64x4d": "resnext101_64x4d",
    "densenet121": "densenet121", "densenet161": "densenet161", "densenet169": "densenet169",
    "densenet201": "densenet201", "inception_v3": "inception_v3",
    "mobilenetv2_100": "mobilenet_v2", "mobilenetv3_large_100": "mobilenet_v3_large",
    "mobilenetv3_small_100": "mobilenet_v3_small",
    "mnasnet_050": "mnasnet0_5", "mnasnet_075": "mnasnet0_75", "mnasnet_100": "mnasnet1_0",
    "efficientnetv2_s": "efficientnet_v2_s", "efficientnetv2_m": "efficientnet_v2_m",
    "efficientnetv2_l": "efficientnet_v2_l",
    "vit_base_patch16": "vit_b_16", "vit_base_patch32": "vit_b_32", "vit_large_patch16": "vit_l_16",
    "vit_large_patch32": "vit_l_32", "vit_huge_patch14": "vit_h_14", "deit_base_patch16": "vit_b_16",
    "swin_tiny_patch4_window7": "swin_t", "swin_small_patch4_window7": "swin_s", "swin_base_patch4_window7": "swin_b",
    "swinv2_tiny_window8": "swin_v2_t", "swinv2_small_window8": "swin_v2_s", "swinv2_base_window8": "swin_v2_b",
    **{f"vgg{n}{bn}": f"vgg{n}{bn}" for n in (11, 13, 16, 19) for bn in ("", "_bn")},
    **{f"efficientnet_b{n}": f"efficientnet_b{n}" for n in range(8)},
    **{f"convnext_{size}": f"convnext_{size}" for size in ("tiny", "small", "base", "large")},
    **{f"regnet{kind}_{n:03}": f"regnet_{kind}_{name}"
       for kind in "xy" for n, name in ((4, "400mf"), (8, "800mf"), (16, "1_6gf"), (32, "3_2gf"), (80, "8gf"),
                                        (160, "16gf"), (320, "32gf"))},
}  # fmt: skip
_SIZES = {  # of the models that are not trained on 224 pixels
    "efficientnet_b1": 240, "efficientnet_b2": 256, "efficientnet_b3": 288, "efficientnet_b4": 320,
    "efficientnet_b5": 456, "efficientnet_b6": 528, "efficientnet_b7": 600,
    "tf_efficientnet_b2": 260, "tf_efficientnet_b3": 300, "tf_efficientnet_b4": 380,
    "efficientnetv2_s": 288, "efficientnetv2_m": 320, "efficientnetv2_l": 384,
    "tf_efficientnetv2_s": 300, "tf_efficientnetv2_m": 384, "inception_v3": 299,
}  # fmt: skip
_BEFORE = re.compile(r"^(tv|gluon|swsl|ssl|ig|tf|adv)_")
_AFTER = re.compile(r"(_in22ft1k|_in21ft1k|_in21k|_in22k|_ap|_ns|_sam|_tv|_v1b)$")
_PIXELS = re.compile(r"_(192|224|256|384|448|512)$")


def twin(name: str) -> str | None:
    """The model of torchvision that a model of timm is."""
    return _TWINS.get(_PIXELS.sub("", _bare(name)))


def own_size(name: str) -> int:
    """The image size that a model of timm is trained on."""
    bare = _bare(name)
    pixels = _PIXELS.search(bare)
    if pixels:
        return int(pixels.group(1))
    tensorflow = "tf_" + bare if name.startswith("tf_") else bare
    return _SIZES.get(tensorflow, _SIZES.get(bare, 224))


def _bare(name: str) -> str:
    return _AFTER.sub("", _BEFORE.sub("", name))

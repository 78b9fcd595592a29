"""The plans that a calibration measures: what makes libraries take workspaces and allocators round up.

Large and small convolutions, grouped and depthwise ones, large matrices, attention, all three precisions, and many
small tensors. The largest take about 1.6 GiB, so that every GPU can be calibrated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..memory.prediction import as_traced
from ..pipeline import compile_spec
from ..plan import Plan
from ..spec.load import loads

_HEADS: dict[str, Any] = {"classifier": {}}
_LEVELS = [{"name": "independent"}, {"name": "cascade", "window": 2}]
_SMALL = {"family": "resnet_cifar", "depth": 20}
_METHODS = {  # MAN and HPFF at once
    "split": {"blocks": 4}, "levels": _LEVELS, "ema_links": [{"from": "next"}],
    "auxiliary": {**_HEADS, "reconstruction": {"patches": {"grid": [2, 2]}}},
}  # fmt: skip
_ADAMW = {"optimizer": {"name": "adamw"}}

_Document = dict[str, Any]

_GPU: dict[str, tuple[int, int, _Document]] = {  # image size, batch size, the rest of the spec
    "MAN and HPFF, ResNet-20": (32, 64, {"backbone": _SMALL, **_METHODS}),
    "ResNet-32": (32, 256, {"backbone": {"family": "resnet_cifar", "depth": 32}}),
    "ResNet-50 in 4 blocks": (
        224, 16, {"backbone": {"family": "resnet"}, "split": {"blocks": 4}, "auxiliary": _HEADS}
    ),
    "ResNet-50, bf16": (224, 32, {"backbone": {"family": "resnet"}, "train": {"precision": "bf16"}}),
    "ResNeXt-50 in 2 blocks": (
        128, 32, {"backbone": {"family": "resnext"}, "split": {"blocks": 2}, "auxiliary": _HEADS}
    ),
    "VGG-16 in 3 blocks": (64, 64, {"backbone": {"family": "vgg"}, "split": {"blocks": 3}, "auxiliary": _HEADS}),
    "MobileNetV3, fp16": (
        128, 64, {"backbone": {"family": "mobilenet_v3", "size": "large"}, "train": {"precision": "fp16"}}
    ),
    "ViT-S in 4 blocks": (
        224, 16,
        {"backbone": {"family": "vit", "width": 384, "heads": 6}, "split": {"blocks": 4}, "auxiliary": _HEADS},
    ),
    "ViT-B in 4 blocks, bf16, AdamW": (
        224, 32,
        {"backbone": {"family": "vit"}, "split": {"blocks": 4}, "auxiliary": _HEADS,
         "train": {"precision": "bf16", **_ADAMW}},
    ),
}  # fmt: skip
_CPU: dict[str, tuple[int, int, _Document]] = {
    "MAN and HPFF, ResNet-20": (32, 8, {"backbone": _SMALL, **_METHODS}),
    "ResNet-20": (32, 16, {"backbone": _SMALL}),
    "ViT in 2 blocks, AdamW": (
        32, 8,
        {"backbone": {"family": "vit", "patch": 4, "width": 64, "heads": 4, "depth": 4}, "split": {"blocks": 2},
         "auxiliary": _HEADS, "train": _ADAMW},
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan to measure and its predicted peak, under the rules of the meter that will measure it."""

    name: str
    plan: Plan
    predicted_bytes: int


def candidates(kind: str) -> tuple[Candidate, ...]:
    """What to measure on a ``cuda`` device, or on a ``cpu``."""
    return tuple(candidate(name, _plan(*rest), kind) for name, rest in (_GPU if kind == "cuda" else _CPU).items())


def candidate(name: str, plan: Plan, kind: str) -> Candidate:
    """A plan with its prediction; live tensors on a CPU are counted under a dispatch mode, as a trace's are."""
    return Candidate(name, plan, plan.memory.peak_bytes if kind == "cuda" else as_traced(plan).peak_bytes)


def _plan(image_size: int, batch_size: int, rest: _Document) -> Plan:
    data = {"dataset": "synthetic", "channels": 3, "classes": 10, "samples": batch_size}
    document = {"specc": 1, "name": "sample", "data": data | {"image_size": image_size, "batch_size": batch_size}}
    return compile_spec(loads(json.dumps(document | rest), "sample"))[0]

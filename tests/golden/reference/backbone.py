"""The ResNets, layer by layer. A position is (stage, block); (0, 0) is the stem."""

from __future__ import annotations

import re
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from .tensors import Tensors

Config = dict[str, Any]
Position = tuple[int, int]


def positions(config: Config) -> list[Position]:
    blocks = enumerate(config["stage_blocks"], 1)
    return [(0, 0), *((stage, b) for stage, count in blocks for b in range(count))]


def units(config: Config) -> list[list[Position]]:
    """The positions of every unit. Some tables list the end of the network too; it ends the last unit anyway."""
    left, parts = positions(config), []
    ends = [tuple(split) for split in config["splits"]]
    for end in [*(end for end in ends if end != left[-1]), left[-1]]:
        at = left.index(end) + 1
        parts.append(left[:at])
        left = left[at:]
    return parts


def layer(t: Tensors, config: Config, x: Tensor, position: Position, name: str = "") -> Tensor:
    """Run one layer, or under another name a copy of it."""
    stage, block = position
    if stage == 0:
        return stem(t, config, x)
    name, stride = name or f"stage{stage}.{block}", 2 if stage > 1 and block == 0 else 1
    out = config["widths"][stage]
    if config["block"] == "basic":
        y = F.relu(t.bn(t.conv(x, f"{name}.conv1", out, 3, stride), f"{name}.bn1"))
        y = t.bn(t.conv(y, f"{name}.conv2", out), f"{name}.bn2")
    else:
        groups, width = cardinality(config)
        inner = groups * width * 2 ** (stage - 1)
        y = F.relu(t.bn(t.conv(x, f"{name}.conv1", inner, 1), f"{name}.bn1"))
        y = F.relu(t.bn(t.conv(y, f"{name}.conv2", inner, 3, stride, groups), f"{name}.bn2"))
        y = t.bn(t.conv(y, f"{name}.conv3", out, 1), f"{name}.bn3")
    return F.relu(y + shortcut(t, x, name, out, stride))


def shortcut(t: Tensors, x: Tensor, name: str, out: int, stride: int) -> Tensor:
    if stride == 1 and x.shape[1] == out:
        return x
    return t.bn(t.conv(x, f"{name}.downsample.conv", out, 1, stride), f"{name}.downsample.bn")


def stem(t: Tensors, config: Config, x: Tensor) -> Tensor:
    large = config["block"] == "bottleneck"
    x = t.conv(x, "stem.conv", config["widths"][0], *((7, 2) if large else (3, 1)))
    x = F.relu(t.bn(x, "stem.bn"))
    return F.max_pool2d(x, 3, 2, 1) if large else x


def cardinality(config: Config) -> tuple[int, int]:
    """Groups of the 3×3 convolution and channels of one: `resnext101_32x8d`; a plain ResNet has one of 64."""
    match = re.search(r"(\d+)x(\d+)d", config["arch"])
    return (int(match[1]), int(match[2])) if match else (1, 64)


def head(t: Tensors, config: Config, x: Tensor) -> Tensor:
    return t.linear(x.mean((2, 3)), "head.fc", config["classes"])

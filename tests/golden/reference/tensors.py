"""Tensors by canonical name: each comes into being when it is first used, filled as section 1 of the README says."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode("utf-8"))))


def filled(name: str, shape: tuple[int, ...]) -> Tensor:
    z = torch.from_numpy(generator(name).standard_normal(shape))
    if len(shape) == 4:
        return z * math.sqrt(2 / (shape[0] * shape[2] * shape[3]))
    if len(shape) == 2:
        return z * math.sqrt(1 / shape[1])
    return 1 + 0.1 * z if name.endswith(".weight") else 0.1 * z


def figures(name: str, tensor: Tensor) -> list[float]:
    """[L2 norm, product with the probe]."""
    values = tensor.detach().numpy()
    direction = generator("probe:" + name).standard_normal(values.shape)
    return [float(np.sqrt((values**2).sum())), float((values * direction).sum())]


class Tensors:
    """Parameters, buffers, and the layers that use them. A copy kept as an average (`.ema.`) gets no gradient."""

    def __init__(self) -> None:
        self.parameters: dict[str, Tensor] = {}
        self.running: dict[str, Tensor] = {}
        self.batches: dict[str, int] = {}
        self.training = True

    def parameter(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if name not in self.parameters:
            self.parameters[name] = filled(name, shape).requires_grad_(".ema." not in name)
        assert self.parameters[name].shape == shape, name
        return self.parameters[name]

    def conv(
        self, x: Tensor, name: str, out: int, k: int = 3, stride: int = 1, groups: int = 1, bias: bool = False
    ) -> Tensor:
        weight = self.parameter(f"{name}.weight", (out, x.shape[1] // groups, k, k))
        offset = self.parameter(f"{name}.bias", (out,)) if bias else None
        return F.conv2d(x, weight, offset, stride, k // 2, groups=groups)

    def linear(self, x: Tensor, name: str, out: int, bias: bool = True) -> Tensor:
        weight = self.parameter(f"{name}.weight", (out, x.shape[1]))
        return F.linear(x, weight, self.parameter(f"{name}.bias", (out,)) if bias else None)

    def bn(self, x: Tensor, name: str) -> Tensor:
        shape = (x.shape[1],)
        mean = self.running.setdefault(f"{name}.running_mean", torch.zeros(shape, dtype=x.dtype))
        var = self.running.setdefault(f"{name}.running_var", torch.ones(shape, dtype=x.dtype))
        weight, bias = self.parameter(f"{name}.weight", shape), self.parameter(f"{name}.bias", shape)
        if self.training:
            count = f"{name}.num_batches_tracked"
            self.batches[count] = self.batches.get(count, 0) + 1
        return F.batch_norm(x, mean, var, weight, bias, self.training, 0.1, 1e-5)

    def conv_bn_relu(self, x: Tensor, name: str, i: int, out: int, **options: Any) -> Tensor:
        """Convolution and batch norm number `i` of a sequential net."""
        return F.relu(self.bn(self.conv(x, f"{name}.conv{i}", out, **options), f"{name}.bn{i}"))

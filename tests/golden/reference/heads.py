"""The auxiliary networks and their losses."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .backbone import Config, Position, positions, shortcut
from .tensors import Tensors


def normalisation(config: Config) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the data set."""
    values = (torch.tensor(config[f"dataset_{part}"], dtype=torch.float64) for part in ("mean", "std"))
    mean, std = (value.view(1, 3, 1, 1) for value in values)
    return mean, std


def pixels(config: Config, images: Tensor) -> Tensor:
    """The images in [0, 1] again."""
    mean, std = normalisation(config)
    return (images * std + mean).to(images.dtype)


def resize(x: Tensor, size: int) -> Tensor:
    return F.interpolate(x, [size, size], mode="bilinear", align_corners=True)


# -- CIFAR: InfoPro, MAN, HPFF -----------------------------------------------------------------------------------------


def decoder(t: Tensors, x: Tensor, name: str, target: Tensor) -> Tensor:
    x = t.conv_bn_relu(resize(x, target.shape[-1]), name, 0, 12, bias=True)
    return F.binary_cross_entropy(torch.sigmoid(t.conv(x, f"{name}.conv1", 3, bias=True)), target)


def patch_decoders(t: Tensors, x: Tensor, name: str, target: Tensor) -> list[Tensor]:
    parts = zip(quarters(x), quarters(target), strict=True)
    return [decoder(t, part, f"{name}.patch{p}", goal) for p, (part, goal) in enumerate(parts)]


def quarters(x: Tensor) -> list[Tensor]:
    h, w = x.shape[2] // 2, x.shape[3] // 2
    return [x[:, :, :h, :w], x[:, :, :h, w:], x[:, :, h:, :w], x[:, :, h:, w:]]


def classifier(t: Tensors, config: Config, x: Tensor, name: str, labels: Tensor) -> Tensor:
    convs, linears = int(config["aux"]["classifier"][0]), int(config["aux"]["classifier"][2])
    hidden, contrast = config["aux"]["feature_dim"], config["local_loss_mode"] == "contrast"
    out, stride = {16: (32, 2), 32: (64, 2), 64: (64, 1)}[x.shape[1]]
    for i in range(convs):
        x = t.conv_bn_relu(x, name, i, out, stride=1 if i else stride)
    x = x.mean((2, 3))
    for i in range(linears - 1):
        x = F.relu(t.linear(x, f"{name}.fc{i}", hidden))
    x = t.linear(x, f"{name}.fc{linears - 1}", hidden if contrast else config["classes"])
    return contrastive(x, labels) if contrast else F.cross_entropy(x, labels)


def contrastive(x: Tensor, labels: Tensor) -> Tensor:
    """A sample without positives adds zero, and sends gradients of zero: those are not None to the optimizer."""
    z = x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
    total = x.new_zeros(())
    for i in range(len(z)):
        products = z[i] @ z.T / 0.07
        products = products - products.max().detach()
        others = torch.arange(len(z)) != i
        positive = (others & (labels == labels[i])).to(x.dtype)
        total = total - (positive * (products - products[others].exp().sum().log())).sum() / positive.sum().clamp(min=1)
    return total / len(z)


# -- ImageNet: MAN, HPFF -----------------------------------------------------------------------------------------------

# 1×1 to 128 channels, then (size, channels) in turn, per feature width; the code's tables of splits reach no other. Its
# sizes are hard-coded for images of 224 pixels; that they shrink with the image is this file's own rule.
IMAGENET_DECODER = {512: [(56, 32), (112, 12), (224, 3)], 1024: [(112, 64), (56, 32), (112, 16), (224, 3)]}


def imagenet_decoder(t: Tensors, x: Tensor, name: str, size: int) -> Tensor:
    steps = IMAGENET_DECODER[x.shape[1]]
    x = t.conv_bn_relu(x, name, 0, 128, k=1, bias=True)
    for i, (side, out) in enumerate(steps, 1):
        x = resize(x, side * size // 224)
        x = t.conv_bn_relu(x, name, i, out, bias=True) if out != 3 else t.conv(x, f"{name}.conv{i}", 3, bias=True)
    return torch.sigmoid(x)


def imagenet_classifier(t: Tensors, config: Config, x: Tensor, name: str, labels: Tensor) -> Tensor:
    for i, (out, k, stride) in enumerate([(x.shape[1] // 4, 1, 1), (256, 3, 2), (512, 3, 2), (2048, 1, 1)]):
        x = t.conv_bn_relu(x, name, i, out, k=k, stride=stride)
    return F.cross_entropy(t.linear(x.mean((2, 3)), f"{name}.fc0", config["classes"]), labels)


# -- the AugLocal repository: DGL, PredSim, AugLocal -------------------------------------------------------------------


def dgl(t: Tensors, config: Config, x: Tensor, name: str, labels: Tensor) -> Tensor:
    width = x.shape[1]
    x = F.adaptive_avg_pool2d(x, math.ceil(x.shape[2] / 4))
    for i in range(3):
        x = t.conv_bn_relu(x, name, i, width, k=1)
    x = F.adaptive_avg_pool2d(x, 2).flatten(1)
    for i in range(2):
        x = F.relu(t.bn(t.linear(x, f"{name}.fc{i}", 4 * width, bias=False), f"{name}.bn{3 + i}"))
    return F.cross_entropy(t.linear(x, f"{name}.fc2", config["classes"]), labels)


def predsim_classifier(t: Tensors, config: Config, x: Tensor, name: str, labels: Tensor) -> Tensor:
    kernel, pad = predsim_pool(x.shape[1], x.shape[2])
    x = F.avg_pool2d(x, kernel, padding=pad).flatten(1)
    return F.cross_entropy(t.linear(x, f"{name}.fc0", config["classes"]), labels)


def predsim_pool(width: int, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Kernel and padding: heights and widths double in turn until at most 512 numbers are left.

    METHODS gives the three cases of 32×32 only; the rule between is that of Nøkland & Eidnes' published code.
    """
    kh, kw, h, w = 1, 1, size, size
    while width * h * w > 512 and kh < size:
        kh *= 2
        h = math.ceil(size / kh)
        if width * h * w > 512:
            kw *= 2
            w = math.ceil(size / kw)
    return (kh, kw), (kh * (h - size // kh) // 2, kw * (w - size // kw) // 2)


def predsim_similarity(t: Tensors, config: Config, x: Tensor, name: str, labels: Tensor) -> Tensor:
    x = t.conv(x, f"{name}.conv0", x.shape[1])
    deviation = x.flatten(2).var(2, unbiased=True).sqrt()
    return F.mse_loss(cosines(deviation), cosines(F.one_hot(labels, config["classes"]).to(deviation.dtype)))


def cosines(x: Tensor) -> Tensor:
    x = x - x.mean(1, keepdim=True)
    x = x / (1e-8 + (x**2).sum(1, keepdim=True).sqrt())
    return (x @ x.T).clamp(-1, 1)


def auglocal(t: Tensors, config: Config, x: Tensor, name: str, labels: Tensor, unit: dict[str, Any]) -> Tensor:
    for i, (_, out, stride) in enumerate(unit["aux_blocks_in_out_stride"]):
        block = f"{name}.block{i}"
        y = F.relu(t.bn(t.conv(x, f"{block}.conv1", out, 3, stride), f"{block}.bn1"))
        y = t.bn(t.conv(y, f"{block}.conv2", out), f"{block}.bn2")
        x = F.relu(y + shortcut(t, x, block, out, stride))
    x = x.mean((2, 3))
    if unit["aux_depth"] <= 1:
        x = t.bn(x, f"{name}.bn0")
    return F.cross_entropy(t.linear(x, f"{name}.fc0", config["classes"]), labels)


def auglocal_plan(config: Config, position: Position, nominal: int) -> dict[str, Any]:
    """Which layers the auxiliary network of a unit copies, and where it has strides."""
    layers = positions(config)
    n, last, aux = layers.index(position), len(layers) - 1, config["aux"]
    fall = n * aux["pyramid_coeff"] / (nominal - 2) if aux["pyramid"] and nominal > 2 else 0.0
    depth = max(1, round(aux["depth"] * (1 - fall) + fall))
    rest = last - n
    chosen = list(range(n + 1, last + 1))
    if depth < rest:
        chosen = [round(n + rest / depth * i) for i in range(1, depth + 1)]
    blocks, width, left = [], config["widths"][position[0]], 0
    for i in chosen:
        out = config["widths"][layers[i][0]]
        left += round(math.log2(out / width))  # strides that are still owed
        blocks.append([width, out, 2 if left > 0 else 1])
        left, width = max(0, left - 1), out
    return {"aux_depth": depth, "aux_blocks_in_out_stride": blocks, "aux_sampled_layer_indices": chosen}

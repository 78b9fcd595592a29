"""One training step of every method: forward and backward passes in the order of the released code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import heads
from .backbone import Config, Position, head, layer, positions, units
from .tensors import Tensors

Entry = dict[str, Any]


def run(t: Tensors, config: Config, x: Tensor, part: list[Position]) -> Tensor:
    for position in part:
        x = layer(t, config, x, position)
    return x


def step(t: Tensors, config: Config, images: Tensor, labels: Tensor) -> tuple[list[Entry], Tensor]:
    """Losses, one entry a backward call, and the logits. Gradients are left behind."""
    if config["method"] != "HPFF" or config["K"] == 1:
        return isolated(t, config, images, labels)
    if config["block"] == "bottleneck":
        return hpff_imagenet(t, config, images, labels)
    return hpff(t, config, images, labels)


def isolated(t: Tensors, config: Config, x: Tensor, labels: Tensor) -> tuple[list[Entry], Tensor]:
    """Every method whose units are single blocks."""
    target, entries, parts = heads.pixels(config, x), [], units(config)
    for k, part in enumerate(parts[:-1]):
        x = run(t, config, x, part)
        weights = config["unit_weights"][k]
        read, after = x, parts[k + 1][0]
        if config["method"] == "MAN":
            read = layer(t, config, x, after, f"unit{k}.bias") + layer(t, config, x, after, f"unit{k}.ema")
        entry: Entry = {"unit": k, "last": False}
        total = x.new_zeros(())
        for term, loss in local_losses(t, config, read, f"unit{k}.aux", labels, target, weights):
            total = total + weights[f"{term}_weight"] * loss
            entry[term] = loss.item()
        total.backward()
        entries.append(entry | {"total": total.item()})
        if config["method"] == "MAN":
            average(t, config, k, after)
        x = x.detach()
    logits = head(t, config, run(t, config, x, parts[-1]))
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    end = {"unit": len(parts) - 1, "last": True, "total": loss.item()}
    if config["block"] == "bottleneck":  # there the traces name the last loss
        end["classification"] = loss.item()
    return [*entries, end], logits.detach()


def local_losses(
    t: Tensors, config: Config, x: Tensor, name: str, labels: Tensor, target: Tensor, unit: Entry
) -> Iterator[tuple[str, Tensor]]:
    method = config["method"]
    if method == "DGL":
        yield "classification", heads.dgl(t, config, x, f"{name}.classifier", labels)
    elif method == "AugLocal":
        yield "classification", heads.auglocal(t, config, x, f"{name}.classifier", labels, unit)
    elif method == "PredSim":
        yield "similarity", heads.predsim_similarity(t, config, x, f"{name}.similarity", labels)
        yield "classification", heads.predsim_classifier(t, config, x, f"{name}.classifier", labels)
    elif config["block"] == "bottleneck":
        restored = heads.imagenet_decoder(t, x, f"{name}.decoder", config["image_size"])
        yield "reconstruction", F.binary_cross_entropy(restored, target)
        yield "classification", heads.imagenet_classifier(t, config, x, f"{name}.classifier", labels)
    else:
        yield "reconstruction", heads.decoder(t, x, f"{name}.decoder", target)
        yield "classification", heads.classifier(t, config, x, f"{name}.classifier", labels)


@torch.no_grad()
def average(t: Tensors, config: Config, k: int, source: Position) -> None:
    """ema = m ema + (1 - m) block, with the block's values before this step's update."""
    m, prefix, block = config["ema_momentum"], f"unit{k}.ema.", f"stage{source[0]}.{source[1]}."
    for name, value in list(t.parameters.items()):
        if name.startswith(prefix):
            # in the first step the block has not run yet; its values are those of the fill either way
            source_value = t.parameter(block + name.removeprefix(prefix), tuple(value.shape))
            value.mul_(m).add_((1 - m) * source_value)


def hpff(t: Tensors, config: Config, images: Tensor, labels: Tensor) -> tuple[list[Entry], Tensor]:
    """Two streams: x is cut after every unit; y lags one unit behind and is cut after the unit it then passes."""
    target, entries, parts = heads.pixels(config, images), [], units(config)
    parts[0] = parts[0][1:]  # the stem runs once, for both streams
    independent, cascade = config["independent_weight"], config["cascade_weight"]
    y = layer(t, config, images, (0, 0))
    x = run(t, config, y, parts[0]).detach()
    for k in range(1, len(parts) - 1):
        x, y = run(t, config, x, parts[k]), run(t, config, y, parts[k - 1])
        z, name, unit = run(t, config, y, parts[k]), f"unit{k}", config["unit_weights"][k]
        alone = heads.classifier(t, config, x, f"{name}.independent.classifier", labels)
        restored = heads.patch_decoders(t, z, f"{name}.cascade.decoder", target)
        both = heads.classifier(t, config, z, f"{name}.cascade.classifier", labels)
        total = independent * alone + cascade * (
            unit["cascade_reconstruction_weight_before_cascade_weight"] * sum(restored)
            + unit["cascade_classification_weight_before_cascade_weight"] * both
        )
        total.backward()
        entries.append({
            "unit": k, "last": False, "total": total.item(), "independent_classification": alone.item(),
            "patch_reconstruction_tl_tr_bl_br": [loss.item() for loss in restored],
            "cascade_reconstruction_sum_of_patches": sum(loss.item() for loss in restored),
            "cascade_classification": both.item(),
        })  # fmt: skip
        x, y = x.detach(), y.detach()
    x = head(t, config, run(t, config, x, parts[-1]))
    logits = head(t, config, run(t, config, run(t, config, y, parts[-2]), parts[-1]))
    final = [F.cross_entropy(x, labels), F.cross_entropy(logits, labels)]
    total = independent * final[0] + cascade * final[1]
    total.backward()
    end = {"unit": len(parts) - 1, "last": True, "total": total.item()}
    return [*entries, end | {"final_ce_independent_then_cascade": [loss.item() for loss in final]}], x.detach()


def hpff_imagenet(t: Tensors, config: Config, images: Tensor, labels: Tensor) -> tuple[list[Entry], Tensor]:
    """The cascade stream alone; the first unit runs once more, for nothing but its batch norms."""
    target, entries, parts = heads.pixels(config, images), [], units(config)
    parts[0] = parts[0][1:]
    y = layer(t, config, images, (0, 0))
    run(t, config, y, parts[0])
    for k in range(1, len(parts) - 1):
        y = run(t, config, y, parts[k - 1])
        z, name, unit = run(t, config, y, parts[k]), f"unit{k}.cascade", config["unit_weights"][k]
        restored = heads.imagenet_decoder(t, z, f"{name}.decoder", config["image_size"])
        pairs = zip(heads.quarters(restored), heads.quarters(target), strict=True)
        patches = [F.binary_cross_entropy(part, goal) for part, goal in pairs]
        loss = heads.imagenet_classifier(t, config, z, f"{name}.classifier", labels)
        weights = unit["reconstruction_weight_on_sum_of_4_patch_bce"], unit["classification_weight"]
        total = weights[0] * sum(patches) + weights[1] * loss
        total.backward()
        entries.append({
            "unit": k, "last": False, "total": total.item(), "classification": loss.item(),
            "patch_reconstruction_tl_tr_bl_br": [patch.item() for patch in patches],
        })  # fmt: skip
        y = y.detach()
    logits = head(t, config, run(t, config, run(t, config, y, parts[-2]), parts[-1]))
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    end = {"unit": len(parts) - 1, "last": True, "total": loss.item(), "classification": loss.item()}
    return [*entries, end], logits.detach()


@torch.no_grad()
def evaluate(t: Tensors, config: Config, images: Tensor) -> Tensor:
    """Logits of the backbone with running statistics."""
    t.training = False
    logits = head(t, config, run(t, config, images, positions(config)))
    t.training = True
    return logits

"""What a trace's `config` holds: the loss weights that the released code arrives at, and cases that nobody traced."""

from __future__ import annotations

from typing import Any

from .backbone import Config, Position, positions
from .heads import auglocal_plan

CIFAR = {
    "dataset_mean": [x / 255 for x in (125.3, 123.0, 113.9)], "dataset_std": [x / 255 for x in (63.0, 62.1, 66.7)],
}  # fmt: skip
HALF = {"dataset_mean": [127.5 / 255] * 3, "dataset_std": [127.5 / 255] * 3}  # SVHN and STL-10
IMAGENET = {"dataset_mean": [0.485, 0.456, 0.406], "dataset_std": [0.229, 0.224, 0.225]}
SGD = {"kind": "SGD", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4, "dampening": 0}
LAMBDAS = {
    "InfoPro": (5, 0.05, 0.2, 0.5), "MAN": (5, 0.5, 0, 0), "HPFF": (5, 0.5, 0, 0), "DGL": (0.0, 1.0, 0.0, 1.0),
    "AugLocal": (0.0, 1.0, 0.0, 1.0), "PredSim": (0.99, 0.01, 0.99, 0.01),
}  # fmt: skip
STAGES = {
    "resnet50": [3, 4, 6, 3], "resnet101": [3, 4, 23, 3], "resnet152": [3, 8, 36, 3],
    "resnext101_32x8d": [3, 4, 23, 3],
}  # fmt: skip


def cifar(method: str, depth: int, k: int, splits: list[list[int]] | None = None, **changes: Any) -> Config:
    """A configuration of the CIFAR code; `aux_depth` for AugLocal, `mean_std` and the config's own keys as changes."""
    blocks = (depth - 2) // 6
    mean_std, aux_depth, pyramid = (changes.pop(key, None) for key in ("mean_std", "aux_depth", "pyramid"))
    effective = k - aux_depth if method == "AugLocal" else k
    config = {
        "method": method, "arch": f"resnet{depth}", "block": "basic", "stage_blocks": [blocks] * 3,
        "widths": [16, 16, 32, 64], "K": k, "effective_local_module_num": effective, "classes": 10,
        "local_loss_mode": "cross_entropy", "independent_weight": 0.001, "cascade_weight": 0.999,
        "ema_momentum": 0.995, "dropout": 0.0, "batch_size": 4, "image_size": 32, "dtype": "float64",
        "aux": {"classifier": "2c2f" if method == "HPFF" else "1c2f", "feature_dim": 128, "widen": 1},
        "lambdas": dict(zip(("ixx_1", "ixy_1", "ixx_2", "ixy_2"), LAMBDAS.get(method, ()), strict=False)),
        "optimizer": SGD,
    } | (mean_std or CIFAR)  # fmt: skip
    if method in ("DGL", "PredSim", "AugLocal"):
        coefficient = 0.5 if pyramid is None else pyramid
        config["aux"] = {"depth": aux_depth, "pyramid": bool(coefficient), "pyramid_coeff": coefficient}
        # "the first K-1 layers are single-layer units", counted from the stem
        splits = splits or [list(position) for position in positions(config)[: effective - 1]]
    config["aux"] |= changes.pop("aux", {})
    return complete(config | {"splits": splits or []} | changes)


def imagenet(method: str, arch: str, k: int, splits: list[list[int]], **changes: Any) -> Config:
    return complete({
        "method": method, "arch": arch, "block": "bottleneck", "stage_blocks": STAGES[arch],
        "widths": [64, 256, 512, 1024, 2048], "K": k, "splits": [*splits, [4, STAGES[arch][3] - 1]], "classes": 1000,
        "local_loss_mode": "cross_entropy", "ema_momentum": 0.995, "batch_size": 2, "image_size": 224,
        "dtype": "float64", "optimizer": SGD,
    } | IMAGENET | changes)  # fmt: skip


def complete(config: Config) -> Config:
    """The config with `unit_weights`, worked out from everything else in it."""
    last = [len(config["stage_blocks"]), config["stage_blocks"][-1] - 1]
    splits = [split for split in config["splits"] if split != last]
    weights = [
        {"unit": k, "split": split} | unit_weights(config, k, (split[0], split[1])) for k, split in enumerate(splits)
    ]
    return config | {"unit_weights": weights}


def unit_weights(config: Config, k: int, split: Position) -> dict[str, Any]:
    method = config["method"]
    if method == "HPFF" and k == 0:
        return {"trained_by": "no local loss of its own; receives gradient from unit 1"}
    if config["block"] == "bottleneck":
        first = "reconstruction_weight" + "_on_sum_of_4_patch_bce" * (method == "HPFF")
        return {first: 5, "classification_weight": 0.75}
    layers = positions(config)
    after = layers[layers.index(split) + 1]
    nominal = config["effective_local_module_num"] if method == "AugLocal" else config["K"]
    ratio = (after[0] if method == "MAN" else k) / (nominal - 2) if nominal > 2 else 0.0
    lambdas = config["lambdas"]
    first, second = (lambdas[f"{i}_1"] * (1 - ratio) + lambdas[f"{i}_2"] * ratio for i in ("ixx", "ixy"))
    if method == "PredSim":
        return {"ratio": ratio, "classification_weight": second, "similarity_weight": first}
    if method in ("DGL", "AugLocal"):
        plan = auglocal_plan(config, split, nominal) if method == "AugLocal" else {}
        return {"ratio": ratio, "classification_weight": second} | plan
    if method == "HPFF":
        names = [f"cascade_{part}_weight_before_cascade_weight" for part in ("reconstruction", "classification")]
        return {"ratio": ratio, names[0]: first, names[1]: second}
    return {"ratio": ratio, "reconstruction_weight": first, "classification_weight": second}

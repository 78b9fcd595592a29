"""The recipes that docs/results.md names are the specs that were run for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import specc
from specc.spec.load import loads

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
RAN: dict[str, Any] = {
    "specc": 1,
    "name": "fm",
    "data": {"dataset": "fashion_mnist", "resplit": True, "batch_size": 128, "augment": "paper", "image_size": 14},
    "backbone": {"family": "resnet_cifar", "depth": 20, "widths": [8, 8, 16, 32]},
    "train": {
        "epochs": 8,
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5.0e-4},
        "schedule": {"name": "cosine", "warmup_epochs": 1},
    },
}
CUTS = ["stage1.0", "stage1.1", "stage1.2", "stage2.0", "stage2.1", "stage2.2", "stage3.0", "stage3.1"]
DGL = {"split": {"after": CUTS}, "auxiliary": {"pointwise": {}}}
LEVELS = [{"name": "independent", "window": 1}, {"name": "cascade", "window": 2}]
OWN: dict[str, dict[str, Any]] = {
    "e2e": {"split": {"blocks": 1}},
    "dgl": DGL,
    "man_ema_only": DGL | {"ema_links": [{"from": "next", "layers": 1, "momentum": 0.995, "bias": "none"}]},
    "man": DGL | {"ema_links": [{"from": "next", "layers": 1, "momentum": 0.995, "bias": "branch"}]},
    "hpff_cascade_only": DGL | {"levels": LEVELS[1:]},
    "hpff_without_patches": DGL | {"levels": [level | {"weight": 0.5} for level in LEVELS]},
}


@pytest.mark.parametrize("method", OWN)
def test_a_recipe_is_what_was_run(method: str) -> None:
    recipe = f"{method}_fashion_mnist"
    assert f"| `{recipe}` |" in PAGE
    now = specc.compile(ROOT / "specs" / f"{recipe}.yaml", ["data.image_size=14", "budget=null"])
    assert now.fingerprint == specc.compile(loads(json.dumps(RAN | OWN[method]))).fingerprint

"""docs/results.md is what the files of its runs say, and names the specs that were run for them."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

import specc
from benchmarks.results import page
from benchmarks.results.__main__ import subset
from benchmarks.results.settings import settings
from specc.layout.peaks import largest_of
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


def test_the_page_is_what_its_files_say() -> None:
    assert page.text() == PAGE, "python -m benchmarks.results page"


def test_its_picture_says_what_its_files_say() -> None:
    shown, now = (set(re.findall(r">([^<>]*[^<>\s][^<>]*)</(?:text|title|desc)", text))
                  for text in (page.PICTURE.read_text(encoding="utf-8"), page.picture()))  # fmt: skip
    assert shown == now


@pytest.mark.parametrize("name", [each.name for each in settings()])
def test_a_run_is_of_the_setting_that_is_described(name: str) -> None:
    """As far as its summary tells: the plan's parameters, FLOPs and predicted peak."""
    setting = next(each for each in settings() if each.name == name)
    plan = specc.compile(setting.spec, setting.arguments(0))
    largest = largest_of(plan) if setting.ranks > 1 else plan
    assert largest is not None
    for run in page.runs(name):
        assert run["predicted_peak_bytes"] == largest.memory.peak_bytes
        assert run["epochs"] == plan.config.train.epochs
        assert run["measured_peak_bytes"] == pytest.approx(run["predicted_peak_bytes"], rel=1e-4)


def test_recomputation_changes_no_figure_but_memory_and_time() -> None:
    plain, again = page.runs("e2e"), page.runs("e2e_recompute")
    assert [run["test"] for run in plain] == [run["test"] for run in again]
    assert page.peak("e2e_recompute") < page.peak("e2e")
    assert page.ratio("e2e_recompute") > 1


def test_what_is_compared_at_equal_memory_fits() -> None:
    assert all(page.peak(each.name) * page.MIB <= page.LIMIT for each in page.within())
    assert {"e2e_micro_batches", "e2e_recompute"} <= {each.name for each in page.within()}


def test_a_subset_has_every_nth_image_and_its_label(tmp_path: Path) -> None:
    source = tmp_path / "all"
    source.mkdir()
    for half in ("train", "t10k"):
        (source / f"{half}-images-idx3-ubyte").write_bytes(
            b"\0\0\x08\x03" + struct.pack(">III", 7, 2, 2) + bytes(i for n in range(7) for i in [n] * 4)
        )
        (source / f"{half}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 7) + bytes(range(7)))
    subset(str(source), str(tmp_path / "part"))
    images, labels = (
        (tmp_path / "part" / f"train-{kind}-ubyte").read_bytes() for kind in ("images-idx3", "labels-idx1")
    )
    assert struct.unpack(">III", images[4:16]) == (3, 2, 2)
    assert list(images[16::4]) == list(labels[8:]) == [0, 3, 6]

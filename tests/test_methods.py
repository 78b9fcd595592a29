"""docs/methods.md is true: every fragment trains, all combinations train, every recipe it names exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

import runtime
import specc
from benchmarks import patches
from runtime.data.loader import Loader
from runtime.data.opening import open_data
from specc.plan import Plan
from specc.spec.load import loads

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^#+ ([^\n]*)$|^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)

Document = dict[str, Any]


def fragments() -> Iterator[tuple[str, Document]]:
    """The headings of the page with the fragments below them."""
    heading = ""
    for title, body in FENCE.findall(PAGE):
        heading = title or heading
        if body:
            yield heading, YAML(typ="safe").load(body)


(_, GROUND), *FRAGMENTS = fragments()
ONE = dict(reversed(FRAGMENTS))  # the first one below each heading
CONTRASTIVE, CROSS_ENTROPY = (fragment for title, fragment in FRAGMENTS if title == "InfoPro")
LOCAL: dict[str, Document] = {
    "DGL": ONE["DGL"], "PredSim": ONE["PredSim"], "InfoPro contrastive": CONTRASTIVE,
    "InfoPro cross-entropy": CROSS_ENTROPY, "AugLocal": ONE["AugLocal"],
}  # fmt: skip


def hpff(heads: Document) -> Document:
    """Two levels; every head of the cascade level on patches."""
    grid = {"patches": {"grid": [2, 2], "weights": "separate", "fuse": "losses"}}
    patched = {name: head | grid for name, head in heads["auxiliary"].items()}
    return {
        "auxiliary": heads["auxiliary"],
        "levels": [
            {"name": "independent", "window": 1, "weight": 0.1},
            {"name": "cascade", "window": 2, "weight": 0.9, "auxiliary": patched},
        ],
    }


ADDITIONS = {
    "plain": lambda heads: heads,
    "MAN": lambda heads: heads | ONE["MAN"],
    "HPFF": hpff,
    "MAN + HPFF": lambda heads: hpff(heads) | ONE["MAN"],
}


STEPS = 14  # two thirds of an epoch


@cache
def digits() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Batches to train on, the same for every method."""
    plan = compiled({})
    loader = Loader(open_data(plan).train, plan.config.data.batch_size, seed=0, train=True)
    return list(islice(loader.epoch(1), STEPS))


def compiled(fragment: Document) -> Plan:
    document = GROUND | ({"auxiliary": {"classifier": {}}} if "ema_links" in fragment else {}) | fragment
    return specc.compile(loads(json.dumps(document), "docs/methods.md"))


def train(fragment: Document) -> None:
    """A few steps on the digits: all losses finite, and what every unit minimises lower at the end than at the start.

    All but the units of a level that weighs a thousandth, as in HPFF's code: so few move their heads hardly at all.
    """
    plan = compiled(fragment)
    session = runtime.Session(plan)
    session.set_lr(plan.config.train.optimizer.lr)
    history: dict[str, list[float]] = {unit.name: [] for unit in plan.units if unit.heads}
    for images, labels in digits():
        step = session.train_step(images, labels)
        for name, values in history.items():
            values.append(float(step.total[name]))
    few = STEPS // 3
    for name, values in history.items():
        assert all(torch.isfinite(torch.tensor(values))), name
        early, late = sum(values[:few]), sum(values[-few:])
        assert late < early or plan.by_unit[name].weight < 0.01, f"{name}: {early:.4f} -> {late:.4f}"


@pytest.mark.parametrize("fragment", [pytest.param(f, id=f"{i}-{t}") for i, (t, f) in enumerate(FRAGMENTS)])
def test_a_fragment_trains(fragment: Document) -> None:
    train(fragment)


# Every method and every addition; the rest is left to `make full`. A method that stands plain is a fragment as well.
FEW = {
    ("DGL", "MAN + HPFF"), ("PredSim", "MAN"), ("InfoPro contrastive", "HPFF"), ("InfoPro cross-entropy", "MAN + HPFF"),
    ("AugLocal", "MAN + HPFF"),
}  # fmt: skip
COMPOSITIONS = [
    pytest.param(*pair, marks=[] if pair in FEW else [pytest.mark.full]) for pair in product(LOCAL, ADDITIONS)
]


@pytest.mark.parametrize(("local", "addition"), COMPOSITIONS)
def test_a_composition_trains(local: str, addition: str) -> None:
    train(ADDITIONS[addition](LOCAL[local]))


def test_every_recipe_it_names_exists() -> None:
    named = set(re.findall(r"`(\w+_[\w*]*)`[,;.]|`(\w+_\*)`|`(\w+\.yaml)`", PAGE))
    patterns = {part for found in named for part in found if part.endswith(("*", ".yaml"))}
    assert len(patterns) > 15
    missing = sorted(p for p in patterns if not any((ROOT / "specs").glob(p if p.endswith(".yaml") else f"{p}.yaml")))
    assert not missing


def test_every_method_of_the_specs_is_on_the_page() -> None:
    data = r"_(cifar10|svhn|stl10|imagenet|fashion_mnist|cityscapes|voc)$"
    methods = {re.sub(data, "", p.stem) for p in (ROOT / "specs").glob("*.yaml")}
    untold = {m for m in methods - {"quickstart"} if f"`{m}_" not in PAGE}
    assert not untold


@pytest.mark.full
def test_sequential_patches_are_what_the_page_says() -> None:
    table = list(patches.rows())
    for row in table:
        shown = (
            f"| {row['grid']} × {row['grid']} | {row['joint'] / 2**20:.1f} MiB | {row['sequential'] / 2**20:.1f} MiB |"
        )
        assert shown in PAGE
    assert table[0]["sequential"] == table[0]["joint"]
    sequential = [row["sequential"] for row in table]
    assert sequential == sorted(sequential, reverse=True)
    assert sequential[1] < table[1]["joint"] / 2

"""The tables as they lie there, and plans of the models in them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from specc.pipeline import compile_spec
from specc.plan import Plan
from specc.spec.load import loads

from .twins import own_size, twin

A100, RTX_3090 = "a100_40gb_timm_224.csv", "rtx3090_24gb_timm_amp_channels_last.csv"
FOLDS = 10
AMP = {"optimizer": "sgd", "precision": "fp16", "memory_format": "channels_last"}  # as the RTX 3090's rows were trained


@dataclass(frozen=True)
class Taken:
    """A row of the A100's table: MiB of the device."""

    model: str
    twin: str
    size: int
    batch: int
    device: int


@dataclass(frozen=True)
class Trained:
    """A row of the RTX 3090's: the largest batch that fitted, and its rate."""

    model: str
    twin: str
    size: int
    batch: int
    rate: float


def taken(folder: Path) -> list[Taken]:
    """The rows of models that torchvision has."""
    found = ((row, twin(row["model"])) for row in rows_of(folder / A100))
    return [
        Taken(row["model"], own, own_size(row["model"]), int(row["batch_size"]), int(row["device_mib"]))
        for row, own in found
        if own
    ]


def trained(folder: Path) -> list[Trained]:
    """The rows of models that torchvision has."""
    found = ((row, twin(row["model"])) for row in rows_of(folder / RTX_3090))
    return [
        Trained(
            row["model"], own, int(row["image_size"]), int(row["largest_batch_size"]), float(row["images_per_second"])
        )
        for row, own in found
        if own
    ]


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table as they are written."""
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


@cache
def plan(model: str, size: int, batch: int, **train: str) -> Plan:
    """End-to-end training of a model of torchvision on CUDA."""
    optimizer = {"name": train.pop("optimizer")}
    data = {"dataset": "synthetic", "channels": 3, "classes": 1000, "image_size": size, "samples": batch}
    document: dict[str, Any] = {
        "specc": 1, "name": model, "data": data | {"batch_size": batch}, "backbone": {"torchvision": model},
        "train": {"optimizer": optimizer, **train},
    }  # fmt: skip
    return compile_spec(loads(json.dumps(document), model).on("cuda"))[0]


def folds(models: list[str]) -> Iterator[tuple[list[int], list[int]]]:
    """Rows to fit on and rows to test on; all rows of a model are on one side."""
    names = sorted(set(models))
    for fold in range(FOLDS):
        held = {name for i, name in enumerate(names) if i % FOLDS == fold}
        yield [i for i, m in enumerate(models) if m not in held], [i for i, m in enumerate(models) if m in held]


def quantile(values: list[float], share: float) -> float:
    """Between the two nearest.

    >>> quantile([3.0, 1.0, 2.0], 0.5), quantile([0.0, 1.0], 0.9)
    (2.0, 0.9)
    """
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])

"""What `specc fit --rivals` names for three networks, run: peaks and step times as predicted and as measured.

The budget is a part of what end-to-end training takes. Which configurations there are is searched for with what was
calibrated on this device, or by its data sheet; every one of them, those that miss the budget included, is run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import torch

from runtime.engine.device import choose, describe, kind
from runtime.errors import RunError
from specc import profiles
from specc.fit.comparison import Comparison
from specc.fit.rivals import Rivals
from specc.fit.verdict import verdict
from specc.language.schema import show_bytes
from specc.pipeline import CHECKS, compile_spec, run_passes
from specc.profiles import Profile
from specc.recipes.methods import of_spec
from specc.spec.dump import dump
from specc.spec.load import Spec, loads

from .documents import Document
from .measuring import apart
from .predicting import sheet_of
from .work import Work

PART = 0.3  # of the memory of end-to-end training
METHODS = ("infopro", "man", "hpff", "dgl")
SECONDS, ROUNDS = 40.0, 5
ADAMW = {"optimizer": {"name": "adamw"}, "precision": "bf16"}
VIT = {"family": "vit", "width": 1024, "heads": 16, "depth": 24}
NETWORKS: dict[str, tuple[Document, int, int, int, Document]] = {  # backbone, image size, classes, batch size, training
    "ResNet-110": ({"family": "resnet_cifar", "depth": 110}, 32, 10, 1024, {}),
    "ViT-L/16": (VIT, 224, 1000, 128, ADAMW),
    "ResNet-152": ({"family": "resnet", "depth": 152}, 224, 1000, 128, {}),
}
STAND_IN: dict[str, tuple[Document, int, int, int, Document]] = {
    "ResNet-8": ({"family": "resnet_cifar", "depth": 8, "widths": [4, 4, 4, 4]}, 8, 4, 4, {})
}


def run(work: Work) -> None:
    """A row a configuration. The searches, which need no GPU, are processes that run at the same time."""
    for name, found in searched(work):
        work.facts(**{name: found})
        for rival in found["rivals"]:
            row = f"{name}: {rival['name']}"
            if not work.has(row, 0.0 if work.small else SECONDS):
                one(work, row, rival)


def searched(work: Work) -> Iterator[tuple[str, Document]]:
    """What there is of each network: as it was found before, or found now."""
    known = work.document["facts"]
    waiting = {} if work.small else {name: begun(name, work) for name in NETWORKS if name not in known}
    try:
        for name in STAND_IN if work.small else NETWORKS:
            if name in known:
                yield name, known[name]
            elif work.small:
                yield name, search(name, work.device)
            else:
                yield name, ended(waiting[name], max(1.0, work.left() - SECONDS))
    finally:
        for process in waiting.values():
            process.kill()


def begun(name: str, work: Work) -> subprocess.Popen[str]:
    """A search in a process of its own."""
    command = [sys.executable, "-P", "-m", "benchmarks.gpu.rivals", name, str(work.device)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], seconds: float) -> Document:
    """What it has found."""
    said, _ = process.communicate(timeout=seconds)
    if process.returncode:
        raise RuntimeError(f"the search ended with {process.returncode}")
    found: Document = json.loads(said.strip().splitlines()[-1])
    return found


def search(name: str, device: torch.device) -> Document:
    """The configurations as specs, with what is predicted of them."""
    spec = spec_of(name, *{**STAND_IN, **NETWORKS}[name], device=device.type)
    found = compared(spec, profile_of(device), ["dgl"] if name in STAND_IN else list(METHODS))
    rivals = [
        {"name": rival.name, "fits": rival.fits, "pareto": rival.pareto, "changes": list(rival.changes),
         "ratio": rival.ratio, "predicted_bytes": rival.candidate.peak, "predicted_seconds": rival.candidate.seconds,
         "spec": dump(rival.candidate.config.model_copy(update={"budget": None}))}
        for rival in found.rows
    ]  # fmt: skip
    return {"budget_bytes": found.budget, "verdict": verdict(found), "left_out": list(found.left_out), "rivals": rivals}


def spec_of(name: str, backbone: Document, size: int, classes: int, batch: int, train: Document, device: Any) -> Spec:
    """End-to-end training of a network on noise."""
    data = {"dataset": "synthetic", "image_size": size, "channels": 3, "classes": classes, "samples": batch}
    document = {"specc": 1, "name": name, "data": data | {"batch_size": batch}, "backbone": backbone, "train": train}
    return loads(json.dumps(document | {"split": {"blocks": 1}}), name).on(device)


def profile_of(device: torch.device) -> Profile | None:
    """What was calibrated here, or else the device's data sheet."""
    return profiles.here(kind(device)) or sheet_of(describe(device), profiles.sheets())


def compared(spec: Spec, profile: Profile | None, methods: list[str]) -> Rivals:
    """As `specc fit --rivals` does it."""
    comparison = Comparison(run_passes(spec, CHECKS), profile)
    if comparison.plain is None:
        raise RuntimeError(f"{spec.config.name} does not compile")
    found = comparison.under(int(PART * comparison.plain.peak), of_spec(spec.config, methods))
    assert found is not None
    return found


def one(work: Work, row: str, rival: Document) -> None:
    """Run one configuration."""
    figures = {key: value for key, value in rival.items() if key not in ("name", "spec")}
    try:
        plan = compile_spec(loads(rival["spec"]).on(kind(work.device)))[0]
        measured = apart(plan, work.device, ROUNDS, work.left())
    except RunError as error:
        work.row(row, str(error), **figures, error=str(error))
        return
    predicted = rival["predicted_seconds"]
    beside = "" if predicted is None else f" for {1000 * predicted:.1f} predicted"
    said = f"{show_bytes(rival['predicted_bytes'])}, {1000 * measured.seconds:.1f} ms{beside}"
    work.row(row, said, **figures, **measured.figures)


if __name__ == "__main__":
    print(json.dumps(search(sys.argv[1], choose(sys.argv[2], None)), allow_nan=False))

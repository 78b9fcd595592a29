"""`train.compile` and `train.graphs` against the step as it is: time as a ratio, and what becomes of the peak."""

from __future__ import annotations

from typing import Any

import specc
from benchmarks.gpu_memory import ADAMW, BF16, SPECS, images
from runtime.errors import RunError
from specc.diagnostics import SpecError

from .documents import Document
from .measuring import apart
from .work import Work

SECONDS = 100.0  # that compiling and running one network may take
ROUNDS = 7
MODES: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "graphs": ("train.graphs=true",),
    "compile": ("train.compile=true",),
    "compile and graphs": ("train.compile=true", "train.graphs=true"),
}
CASES: dict[str, tuple[str, tuple[str, ...]]] = {  # as in `gpu_memory`: shipped spec and overrides
    "ResNet-32 e2e, batch 128": ("e2e_cifar10", ("data.batch_size=128",)),
    "MAN ResNet-32": ("man_cifar10", ()),
    "ViT-B e2e, bf16, AdamW": ("e2e_cifar10", (images(128), "backbone={family: vit}", BF16, ADAMW)),
    "ResNet-50 e2e, bf16": (
        "e2e_cifar10", (images(128), "backbone={family: resnet}", BF16, "train.memory_format=channels_last")
    ),
    "HPFF ResNet-32": ("hpff_cifar10", ()),
}  # fmt: skip
STAND_IN: dict[str, tuple[str, tuple[str, ...]]] = {
    "tiny": ("e2e_cifar10", (images(2, 8, 4), "backbone={family: resnet_cifar, depth: 8, widths: [4, 4, 4, 4]}"))
}


def run(work: Work) -> None:
    """A row a network and mode; the first of each is what the others are held against."""
    for name, (spec, words) in (STAND_IN if work.small else CASES).items():
        for mode, more in MODES.items():
            row = f"{name}: {mode}"
            if (work.small and "graphs" in mode) or work.has(row, 0.0 if work.small else SECONDS):
                continue
            one(work, row, spec, [*words, *more, "budget=null"], base(work.rows, name))


def base(rows: list[Document], name: str) -> Document | None:
    """The row of a network as it is."""
    return next((row for row in rows if row["name"] == f"{name}: {next(iter(MODES))}"), None)


def one(work: Work, row: str, spec: str, words: list[str], plain: Document | None) -> None:
    """Measure one network in one mode."""
    try:
        plan = specc.compile(SPECS / f"{spec}.yaml", words)
        measured = apart(plan, work.device, ROUNDS, work.left())
    except (RunError, SpecError) as error:
        work.row(row, str(error), error=str(error))
        return
    figures: dict[str, Any] = {"predicted_bytes": plan.memory.peak_bytes, **measured.figures}
    if plain:
        figures["ratio"] = measured.seconds / plain["measured_seconds"]
    said = f"{1000 * measured.seconds:.2f} ms" + (f", {figures['ratio']:.3f} of that" if plain else "")
    work.row(row, said, **figures)

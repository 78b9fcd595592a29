"""`train.offload` against the step as it is: peak and time beside what is predicted, and the ways to the host."""

from __future__ import annotations

from typing import Any

import specc
from benchmarks.gpu_memory import ADAMW, BF16, SPECS, blocks, images
from runtime.errors import RunError
from runtime.timing.clock import Clock
from runtime.timing.host import BYTES, ways
from specc.diagnostics import SpecError

from .documents import Document
from .measuring import apart
from .predicting import predicted
from .work import Work

SECONDS = 60.0  # that one network may take
ROUNDS = 7
SMALL = 1 << 12  # bytes that are moved where nothing is measured
MODES = ("[]", "[optimizer]", "[optimizer, parameters]")
VIT_L = "backbone={family: vit, patch: 16, width: 1024, depth: 24, heads: 16}"
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ViT-L, 24 blocks, bf16, AdamW, batch 64": ("e2e_cifar10", (images(64), VIT_L, BF16, ADAMW, *blocks(24))),
    "ViT-L, 24 blocks, bf16, AdamW, batch 8": ("e2e_cifar10", (images(8), VIT_L, BF16, ADAMW, *blocks(24))),
    "MAN ResNet-32": ("man_cifar10", ()),
}
STAND_IN: dict[str, tuple[str, tuple[str, ...]]] = {
    "tiny": (
        "e2e_cifar10",
        (images(2, 8, 4), "backbone={family: resnet_cifar, depth: 8, widths: [4, 4, 4, 4]}", *blocks(2)),
    )
}


def run(work: Work) -> None:
    """The ways first, then a row a network and mode; the first of each is what the others are held against."""
    if "from_the_host" not in work.document["facts"]:
        found = ways(work.device, Clock(work.device), SMALL if work.small else BYTES)
        work.facts(from_the_host=found.inwards, to_the_host=found.outwards, of_the_host=found.steps)
    for name, (spec, words) in (STAND_IN if work.small else CASES).items():
        for mode in MODES:
            row = f"{name}: {mode}"
            if not work.has(row, 0.0 if work.small else SECONDS):
                one(work, row, spec, [*words, f"train.offload={mode}", "budget=null"], base(work.rows, name))


def base(rows: list[Document], name: str) -> Document | None:
    """The row of a network as it is."""
    return next((row for row in rows if row["name"] == f"{name}: {MODES[0]}"), None)


def one(work: Work, row: str, spec: str, words: list[str], plain: Document | None) -> None:
    """Measure one network in one mode."""
    try:
        plan = specc.compile(SPECS / f"{spec}.yaml", words)
        measured = apart(plan, work.device, ROUNDS, work.left())
    except (RunError, SpecError) as error:
        work.row(row, str(error), error=str(error))
        return
    figures: dict[str, Any] = {"predicted_bytes": plan.memory.peak_bytes, **measured.figures}
    figures |= predicted(plan, work.device)
    if plain:
        figures["ratio"] = measured.seconds / plain["measured_seconds"]
    said = f"{1000 * measured.seconds:.2f} ms" + (f", {figures['ratio']:.3f} of that" if plain else "")
    work.row(row, said, **figures)

"""`train.offload` against the step as it is: peak and time beside what is predicted, and the ways to the host."""

from __future__ import annotations

from benchmarks.gpu_memory import ADAMW, BF16, blocks, images
from runtime.timing.clock import Clock
from runtime.timing.host import BYTES, ways

from .modes import Cases, Modes, rows
from .predicting import predicted
from .work import Work

SECONDS = 60.0  # that one network may take
SMALL = 1 << 12  # bytes that are moved where nothing is measured
MODES: Modes = {mode: (f"train.offload={mode}",) for mode in ("[]", "[optimizer]", "[optimizer, parameters]")}
VIT_L = "backbone={family: vit, patch: 16, width: 1024, depth: 24, heads: 16}"
CASES: Cases = {
    "ViT-L, 24 blocks, bf16, AdamW, batch 64": ("e2e_cifar10", (images(64), VIT_L, BF16, ADAMW, *blocks(24))),
    "ViT-L, 24 blocks, bf16, AdamW, batch 8": ("e2e_cifar10", (images(8), VIT_L, BF16, ADAMW, *blocks(24))),
    "MAN ResNet-32": ("man_cifar10", ()),
}


def run(work: Work) -> None:
    """The ways first, then a row a network and mode."""
    if "from_the_host" not in work.document["facts"]:
        found = ways(work.device, Clock(work.device), SMALL if work.small else BYTES)
        work.facts(from_the_host=found.inwards, to_the_host=found.outwards, of_the_host=found.steps)
    rows(work, CASES, MODES, SECONDS, lambda plan: predicted(plan, work.device))

"""`train.compile` and `train.graphs` against the step as it is: time as a ratio, and what becomes of the peak."""

from __future__ import annotations

from benchmarks.gpu_memory import ADAMW, BF16, images

from .modes import Cases, Modes, rows
from .work import Work

SECONDS = 100.0  # that compiling and running one network may take
MODES: Modes = {
    "as it is": (),
    "graphs": ("train.graphs=true",),
    "compile": ("train.compile=true",),
    "compile and graphs": ("train.compile=true", "train.graphs=true"),
}
CASES: Cases = {
    "ResNet-32 e2e, batch 128": ("e2e_cifar10", ("data.batch_size=128",)),
    "MAN ResNet-32": ("man_cifar10", ()),
    "ViT-B e2e, bf16, AdamW": ("e2e_cifar10", (images(128), "backbone={family: vit}", BF16, ADAMW)),
    "ResNet-50 e2e, bf16": (
        "e2e_cifar10", (images(128), "backbone={family: resnet}", BF16, "train.memory_format=channels_last")
    ),
    "HPFF ResNet-32": ("hpff_cifar10", ()),
}  # fmt: skip


def run(work: Work) -> None:
    """A row a network and mode; a stand-in records no graphs."""
    rows(work, CASES, {name: own for name, own in MODES.items() if not (work.small and "graphs" in name)}, SECONDS)

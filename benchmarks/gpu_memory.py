"""Predicted peaks against a GPU's own figures, for specs from 50 MiB to 20 GiB.

    specc doctor --calibrate
    python benchmarks/gpu_memory.py [--device cuda:0] [--json FILE] [--specs NAME...] [--max-bytes SIZE] [--limit N]

Each spec runs four steps on noise in a process of its own, so that none inherits another's cached blocks or workspaces;
peaks are those of the last three. `requested` is what was asked of the allocator, `allocated` the blocks that it gave
(this is what a budget is held against), `reserved` what it kept of the device. Errors are predicted / measured - 1, so
a negative one is an under-estimate: that prediction, used as the limit, would have run out of memory. The table is
Markdown, for docs/memory.md. With `--device cpu` live tensors are counted in place of the allocator's bytes.

A spec that fails is reported and the next one runs; the exit status is then 1. The JSON file is written anew after
every spec, so an interrupted run keeps what it has.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import specc
from runtime.errors import RunError
from runtime.memory.sampling import TIMEOUT, Peaks, in_own_process
from specc.device.samples import Candidate, candidate
from specc.diagnostics import SpecError
from specc.language.schema import parse_bytes, show_bytes
from specc.profiles import Profile, matching

SPECS = Path(__file__).parent.parent / "specs"
LOWEST, HIGHEST, FEWEST = 55 << 20, 19 << 30, 20  # what the cases must span, and how many they must be
BF16, FP16, RECOMPUTE = "train.precision=bf16", "train.precision=fp16", "train.recompute=true"
ADAMW = "train.optimizer={name: adamw}"
RESTORE = "auxiliary={classifier: {}, reconstruction: {}}"


def images(batch: int, size: int = 224, classes: int = 1000) -> str:
    facts = f"dataset: synthetic, image_size: {size}, channels: 3, classes: {classes}, samples: 8192"
    return f"data={{{facts}, batch_size: {batch}}}"


def blocks(count: int) -> tuple[str, str]:
    return f"split={{blocks: {count}}}", "auxiliary={classifier: {}}"


def zoo(model: str) -> str:
    return f"backbone={{torchvision: {model}}}"


# name: shipped spec and overrides, so that `specc plan specs/SPEC.yaml OVERRIDES` shows what is in each
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "quickstart, batch 400": ("quickstart", ("data.batch_size=400",)),
    "ViT-Ti 96, 4 blocks, AdamW": (
        "e2e_cifar10", (images(16, 96, 10), "backbone={family: vit, width: 192, heads: 3}", *blocks(4), ADAMW)
    ),
    "ResNet-32 e2e, batch 128": ("e2e_cifar10", ("data.batch_size=128",)),
    "MAN ResNet-32, batch 256": ("man_cifar10", ("data.batch_size=256",)),
    "HPFF ResNet-32, bf16, AdamW": ("hpff_cifar10", (BF16, ADAMW)),
    "ResNet-32 e2e, recompute": ("e2e_cifar10", (RECOMPUTE,)),
    "MAN ResNet-110, fp16": ("man_svhn", (FP16,)),
    "HPFF ResNet-32": ("hpff_cifar10", ()),
    "Wide ResNet-50 64, 4 blocks": ("e2e_cifar10", (images(64, 64, 200), "backbone={family: wide_resnet}", *blocks(4))),
    "ResNet-32 e2e, bf16": ("e2e_cifar10", (BF16,)),
    "MAN ResNet-32": ("man_cifar10", ()),
    "torchvision resnet18": ("e2e_cifar10", (images(64), zoo("resnet18"))),
    "HPFF ResNet-152, batch 8": ("hpff_imagenet", ("data.batch_size=8",)),
    "torchvision efficientnet_b0, 4 blocks": ("e2e_cifar10", (images(32), zoo("efficientnet_b0"), *blocks(4))),
    "MAN ResNet-110": ("man_svhn", ()),
    "torchvision densenet121, 3 blocks": ("e2e_cifar10", (images(32), zoo("densenet121"), *blocks(3))),
    "ResNet-32 e2e": ("e2e_cifar10", ()),
    "ConvNeXt-T, 4 blocks, bf16, AdamW": (
        "e2e_cifar10", (images(64), "backbone={family: convnext}", *blocks(4), BF16, ADAMW)
    ),
    "torchvision swin_t, 4 blocks, bf16, AdamW": (
        "e2e_cifar10", (images(64), zoo("swin_t"), *blocks(4), BF16, ADAMW)
    ),
    "ViT-B e2e, recompute, bf16, AdamW": (
        "e2e_cifar10", (images(128), "backbone={family: vit}", BF16, ADAMW, RECOMPUTE)
    ),
    "MobileNetV3-L e2e, fp16": (
        "e2e_cifar10", (images(128), "backbone={family: mobilenet_v3, size: large}", FP16)
    ),
    "ViT-B, 4 blocks, bf16, AdamW": (
        "e2e_cifar10", (images(128), "backbone={family: vit}", *blocks(4), BF16, ADAMW)
    ),
    "torchvision resnet50, 4 blocks": ("e2e_cifar10", (images(64), zoo("resnet50"), *blocks(4))),
    "HPFF ResNet-32, batch 4096": ("hpff_cifar10", ("data.batch_size=4096",)),
    "torchvision vit_b_16 e2e, AdamW": ("e2e_cifar10", (images(32), zoo("vit_b_16"), ADAMW)),
    "HPFF ResNet-152, batch 64, bf16": ("hpff_imagenet", ("data.batch_size=64", BF16)),
    "ResNeXt-101, 8 blocks": ("e2e_cifar10", (images(64), "backbone={family: resnext, depth: 101}", *blocks(8))),
    "VGG-16, 5 blocks": ("e2e_cifar10", (images(64), "backbone={family: vgg}", *blocks(5))),
    "HPFF ResNet-152, recompute": ("hpff_imagenet", (RECOMPUTE,)),
    "ResNet-110 e2e": ("e2e_cifar10", ("backbone.depth=110",)),
    "torchvision resnet50 e2e, batch 128": ("e2e_cifar10", (images(128), zoo("resnet50"))),
    "torchvision resnet101, 4 blocks, restored": (
        "e2e_cifar10", (images(32), zoo("resnet101"), "split={blocks: 4}", RESTORE)
    ),
    "HPFF ResNet-152": ("hpff_imagenet", ()),
    "ResNet-110 e2e, batch 2500": ("e2e_cifar10", ("backbone.depth=110", "data.batch_size=2500")),
}  # fmt: skip


@dataclass
class Row:
    """One spec; `error` says why there are no figures."""

    name: str
    spec: str
    overrides: Sequence[str]
    predicted_bytes: int = 0
    margin_bytes: int | None = None
    requested_bytes: int | None = None
    allocated_bytes: int | None = None
    reserved_bytes: int | None = None
    error: str = ""

    def error_of(self, what: str) -> float | None:
        """predicted / measured - 1; `margin`: with the margin added, against what was allocated."""
        measured = self.requested_bytes if what == "requested" else self.allocated_bytes
        margin = self.margin_bytes if what == "margin" else 0
        return (self.predicted_bytes + margin) / measured - 1 if measured and margin is not None else None

    @property
    def cells(self) -> list[str]:
        sizes = (self.predicted_bytes, self.requested_bytes, self.allocated_bytes, self.reserved_bytes)
        shown = [show_bytes(size) if size else "–" for size in sizes]
        if self.error:
            shown[1] = self.error.replace("|", "/")
        return [self.name, *shown, *(percent(self.error_of(what)) for what in ERRORS)]


ERRORS = {"requested": "of requested", "allocated": "of allocated", "margin": "with margin"}
HEADINGS = ("spec", "predicted", "requested", "allocated", "reserved", *ERRORS.values())


def percent(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2%}"


def markdown(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def compile_case(row: Row, kind: str) -> Candidate | None:
    try:
        return candidate(row.name, specc.compile(row.spec, [*row.overrides, "budget=null"]), kind)
    except SpecError as error:
        row.error = "; ".join(f"{d.code}: {d.message}" for d in error.diagnostics)
    except OSError as error:
        row.error = f"cannot read {row.spec}: {error.strerror}"
    return None


def chosen(patterns: Sequence[str]) -> list[Row]:
    """The cases whose name a pattern matches or begins, and files as they are."""
    if not patterns:
        return [Row(name, str(SPECS / f"{spec}.yaml"), words) for name, (spec, words) in CASES.items()]
    rows = []
    for pattern in patterns:
        found = [row for row in chosen(()) if fnmatch(row.name, pattern) or row.name.startswith(pattern)]
        rows += found or [Row(Path(pattern).stem, pattern, ())]
    return rows


def prepared(arguments: argparse.Namespace, kind: str) -> list[tuple[Row, Candidate | None]]:
    """Rows and their plans, the smallest first; those that do not compile come before all."""
    pairs = [(row, compile_case(row, kind)) for row in chosen(arguments.specs)]
    for row, found in pairs:
        row.predicted_bytes = found.predicted_bytes if found else 0
    kept = [pair for pair in pairs if pair[0].predicted_bytes <= arguments.max_bytes]
    return sorted(kept, key=lambda pair: pair[0].predicted_bytes)[: arguments.limit]


def measure(row: Row, found: Candidate, device: str, timeout: float, calibrated: Profile | None) -> None:
    """Fill the row in."""
    row.margin_bytes = calibrated.beyond(row.predicted_bytes) if calibrated else None
    try:
        peaks = in_own_process(found.plan, device, timeout)
    except RunError as error:
        row.error = str(error)
        return
    row.requested_bytes, row.allocated_bytes = peaks.requested_bytes, peaks.allocated_bytes
    row.reserved_bytes = peaks.reserved_bytes


def statistics_of(rows: Sequence[Row], what: str) -> dict[str, Any]:
    """Sizes of the errors, and how many are negative; an over-estimate never runs out of memory."""
    errors = [error for row in rows if (error := row.error_of(what)) is not None]
    if not errors:
        return {"specs": 0}
    sizes = [abs(error) for error in errors]
    return {
        "specs": len(errors), "mean": statistics.mean(sizes), "median": statistics.median(sizes), "worst": max(sizes),
        "lowest": min(errors), "highest": max(errors), "under_estimates": sum(error < 0 for error in errors),
    }  # fmt: skip


def summary(rows: Sequence[Row]) -> Iterator[str]:
    for what, name in ERRORS.items():
        found = statistics_of(rows, what)
        if found["specs"]:
            yield (
                f"{name}: mean {found['mean']:.2%}, median {found['median']:.2%}, "
                f"from {found['lowest']:+.2%} to {found['highest']:+.2%}; "
                f"{found['under_estimates']} of {found['specs']} under-estimated"
            )
    failed = [row.name for row in rows if row.error]
    if failed:
        yield f"{len(failed)} not measured: {', '.join(failed)}"


def document(rows: Sequence[Row], device: str, probe: Peaks, calibrated: Profile | None) -> dict[str, Any]:
    return {
        "format_version": 1,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "identity": probe.identity,
        "device_bytes": probe.device_bytes,
        "allocator": probe.allocator,
        "calibration": _margin(calibrated),
        "errors": {what: statistics_of(rows, what) for what in ERRORS},
        "rows": [asdict(row) for row in rows],
    }


def _margin(calibrated: Profile | None) -> dict[str, Any] | None:
    if calibrated is None or calibrated.margin is None:
        return None
    return {"date": calibrated.date, "versions": dict(calibrated.versions), **asdict(calibrated.margin)}


def coverage(rows: Sequence[Row]) -> str:
    sizes = [row.predicted_bytes for row in rows if row.predicted_bytes]
    if not sizes:
        return "no spec to measure"
    text = f"{len(sizes)} specs, predicted peaks from {show_bytes(min(sizes))} to {show_bytes(max(sizes))}"
    whole = len(sizes) >= FEWEST and min(sizes) <= LOWEST and max(sizes) >= HIGHEST
    return text if whole else f"{text} (a part of the whole range of 50 MiB to 20 GiB)"


def introduction(probe: Peaks, calibrated: Profile | None) -> str:
    versions = {"torch": "torch", "cuda": "CUDA", "cudnn": "cuDNN"}
    parts = [f"{name} {probe.identity[key]}" for key, name in versions.items() if probe.identity[key]]
    size = [show_bytes(probe.device_bytes)] if probe.device_bytes else []
    margin = f"margin calibrated {calibrated.date[:10]}" if calibrated else "no margin: specc doctor --calibrate"
    return ", ".join([probe.identity["device"], *size, *parts, f"allocator: {probe.allocator}", margin])


def arguments_of(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0", help="`cuda:0` (the default), `cuda:1`, ..., or `cpu`")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON as well")
    parser.add_argument("--specs", nargs="+", default=[], metavar="NAME", help="cases (beginnings or globs), or files")
    parser.add_argument("--max-bytes", type=parse_bytes, default=1 << 62, metavar="SIZE", help="no larger predictions")
    parser.add_argument("--limit", type=int, metavar="N", help="only the N smallest")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, metavar="SECONDS", help="for one spec")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    arguments = arguments_of(words)
    try:  # one small plan says whether there is such a device and what it is; this process never opens it
        probe = in_own_process(
            specc.compile(SPECS / "quickstart.yaml", ["budget=null"]), arguments.device, arguments.timeout
        )
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    calibrated = matching(probe.identity)
    pairs = prepared(arguments, probe.identity["kind"])
    rows = [row for row, _ in pairs]
    print(introduction(probe, calibrated))
    print(coverage(rows) + "\n")
    print(markdown(HEADINGS))
    print(markdown(["---", *["---:"] * (len(HEADINGS) - 1)]))
    for row, found in pairs:
        if found is not None:
            measure(row, found, arguments.device, arguments.timeout, calibrated)
        print(markdown(row.cells), flush=True)
        if arguments.json:
            done = document(rows, arguments.device, probe, calibrated)
            arguments.json.write_text(json.dumps(done, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    print("\n" + "\n".join(summary(rows)))
    return int(any(row.error for row in rows))


if __name__ == "__main__":
    sys.exit(main())

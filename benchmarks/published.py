"""Our step against the schedule of the released code, at equal numbers: time and peak memory, in one process.

    python -m benchmarks.published [--batch N] [--runs N] [--json FILE]

The other side is `tests/golden/reference`: the methods in plain PyTorch as the released code goes about them (HPFF runs
a block up to three times, gradients of all units stay until one optimizer step at the end), written anew by us and
held to the golden traces; it is not the authors' own code. ResNet-32 on 32 × 32 noise, fp32, optimizers fused. Steps
alternate, so that a busy machine slows all sides alike. Peaks are live tensor bytes of the second step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import specc
from runtime import Session
from runtime.memory.meter import LiveTensors
from specc.spec.load import loads
from tests.golden import harness
from tests.golden.reference.methods import step
from tests.golden.reference.tensors import Tensors, filled

TRACES = Path(__file__).parent.parent / "tests" / "golden" / "data"
CASES = (
    "e2e_resnet32", "dgl_resnet32_k16", "predsim_resnet32_k16", "infopro_resnet32_k16_ce", "auglocal_resnet32_k16_d2",
    "man_resnet32_k4", "man_resnet32_k16", "hpff_resnet32_k4", "hpff_resnet32_k16",
)  # fmt: skip
Run = Callable[[], Any]


class Single(Tensors):
    """The reference's tensors in fp32."""

    def parameter(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if name not in self.parameters:
            self.parameters[name] = filled(name, shape).float().requires_grad_(".ema." not in name)
        return self.parameters[name]


def published(config: dict[str, Any], images: Tensor, labels: Tensor) -> tuple[Run, Run]:
    """One step of the released schedule, and what lives through it."""
    tensors, rule = Single(), config["optimizer"]
    step(tensors, config, images, labels)
    trained = [p for p in tensors.parameters.values() if p.requires_grad]
    options = {key: rule[key] for key in ("lr", "momentum", "nesterov", "weight_decay")}
    optimizer = torch.optim.SGD(trained, **options, fused=True)

    def run() -> None:
        optimizer.zero_grad()
        step(tensors, config, images, labels)
        optimizer.step()

    def resident() -> list[Tensor]:
        momenta = [v for s in optimizer.state.values() for v in s.values() if isinstance(v, Tensor)]
        return [*tensors.parameters.values(), *tensors.running.values(), *momenta]

    return run, resident


def ours(config: dict[str, Any], images: Tensor, labels: Tensor, memory_format: str) -> tuple[Run, Run]:
    """One step of a session on the same configuration."""
    document = harness.spec_of(config)
    updates = document.pop("batch_norm", {})
    document["train"] |= {"zero_weight_heads": "remove", "memory_format": memory_format, "batch_norm_updates": updates}
    session = Session(specc.compile(loads(json.dumps(document, allow_nan=False))))
    placed = images.contiguous(memory_format=session.model.memory_format)
    return lambda: session.train_step(placed, labels), session.resident


def rows(batch: int, runs: int) -> Iterator[dict[str, Any]]:
    """One row a case."""
    for case in CASES:
        config = harness.Trace.read(trace_of(case)).config | {"batch_size": batch, "dtype": "float32"}
        images, labels = (x.float() if x.is_floating_point() else x for x in harness.batch(config))
        sides = {
            "published": published(config, images, labels),
            "contiguous": ours(config, images, labels, "contiguous"),
            "channels_last": ours(config, images, labels, "channels_last"),
        }
        peaks = {name: peak(*side, images, labels) for name, side in sides.items()}
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(runs):
            for name, (run, _) in sides.items():
                began = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - began)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        yield {"case": case, "seconds": medians, "peak_bytes": peaks}


def trace_of(case: str) -> Path:
    """The golden file whose configuration is measured."""
    return TRACES / f"{case}.json"


def peak(run: Run, resident: Run, images: Tensor, labels: Tensor) -> int:
    """Live tensor bytes of the second step at their highest."""
    run()
    with LiveTensors([*resident(), images, labels]) as live:
        run()
    return live.peak


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    print("| case | published step | ours | channels_last | published peak | ours |\n|---|---|---|---|---|---|")
    table = []
    for row in rows(arguments.batch, arguments.runs):
        table.append(row)
        t, p = row["seconds"], row["peak_bytes"]
        times = [f"{t[side] / t['published']:.2f}" for side in ("contiguous", "channels_last")]
        sizes = [f"{p['published'] / 2**20:.1f} MiB", f"{p['contiguous'] / p['published']:.2f}"]
        print(f"| {row['case']} | {1000 * t['published']:.0f} ms | {' | '.join(times + sizes)} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"format_version": 1, "rows": table}, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()

"""How long compiling takes: 100, 1,000 and 10,000 layers, and ResNet-152 with MAN and HPFF against `import torch`.

    python benchmarks/compile.py [--json FILE] [--runs N]

Compile times are of `specc.compile` on a loaded spec (no torch) and of loading it; the figures are medians of one run.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import specc
from specc.spec.load import Spec, loads

SIZES = (100, 1_000, 10_000)
GROWTH_LIMIT = 20.0

RESNET152: dict[str, Any] = {
    "specc": 1,
    "name": "resnet152",
    "data": {"dataset": "imagenet", "image_size": 256, "batch_size": 64},
    "backbone": {"family": "resnet", "depth": 152},
    "split": {"blocks": 16},
    "levels": [{"name": "independent", "weight": 0.25}, {"name": "cascade", "window": 2, "weight": 0.75}],
    "auxiliary": {"classifier": {}, "reconstruction": {"patches": {"grid": [2, 2]}}},
    "ema_links": [{"from": "next"}],
}


def chain(count: int) -> dict[str, Any]:
    """So many layers in a tenth as many blocks; `repeat` keeps the text short."""
    layers = [
        {"name": "body", "op": "conv", "out": 16, "repeat": count - 2},
        {"name": "pool", "op": "global_avg_pool"},
        {"name": "head", "op": "linear", "out": 10},
    ]
    split = {"blocks": count // 10}
    return {"specc": 1, "name": "long", "data": {"dataset": "cifar10"}, "backbone": {"layers": layers}, "split": split}


def read(document: dict[str, Any]) -> Spec:
    return loads(json.dumps(document, allow_nan=False))


def median(work: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        gc.collect()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def import_torch() -> None:
    subprocess.run([sys.executable, "-c", "import torch"], check=True)


def measure(runs: int) -> dict[str, float]:
    times = {}
    for count in SIZES:
        spec = read(chain(count))
        times[f"layers_{count}"] = median(lambda spec=spec: specc.compile(spec), runs)
    import_torch()
    times["import_torch"] = median(import_torch, runs)
    times["resnet152_man_hpff"] = median(lambda: specc.compile(read(RESNET152)), runs)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file as well")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    times = measure(arguments.runs)
    growth = times["layers_10000"] / times["layers_1000"]
    ratio = times["resnet152_man_hpff"] / times["import_torch"]
    for count in SIZES:
        print(f"compile {count:>6,} layers        {times[f'layers_{count}']:8.3f} s")
    print(f"10,000 layers against 1,000  {growth:8.2f} times (limit {GROWTH_LIMIT:g})")
    print(f"compile ResNet-152, MAN+HPFF {times['resnet152_man_hpff']:8.3f} s")
    print(f"import torch                 {times['import_torch']:8.3f} s   ratio {ratio:.2f} (limit 1)")
    if arguments.json:
        document = {
            "format_version": 1,
            "seconds": times,
            "growth": growth,
            "growth_limit": GROWTH_LIMIT,
            "ratio": ratio,
        }
        arguments.json.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    sys.exit(growth > GROWTH_LIMIT or ratio > 1)


if __name__ == "__main__":
    main()

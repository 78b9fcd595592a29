"""How long `specc validate` takes: against `import torch`, and for 5,000 layers against 1,000.

    python benchmarks/validate.py [--json FILE] [--runs N]

All times are of whole processes, measured in turns in the same run; the figures are medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

SPEC = Path(__file__).parent.parent / "specs" / "hpff_imagenet.yaml"
RATIO_LIMIT, GROWTH_LIMIT = 0.35, 5.0

LAYERS_HEAD = "specc: 1\nname: long\ndata: {dataset: cifar10}\nbackbone:\n  layers:\n"
LAYERS_TAIL = "    - {name: pool, op: global_avg_pool}\n    - {name: head, op: linear, out: 10}\n"
FAMILY = "specc: 1\nname: long\ndata: {dataset: cifar10}\nbackbone: {family: resnet_cifar, depth: %d}\n"


def layers_spec(count: int) -> str:
    """A graph of so many layers, all written out, cut after every tenth."""
    lines = [f"    - {{name: l{i}, op: conv, out: 16}}\n" for i in range(count - 2)]
    cuts = "".join(f"    - l{i}\n" for i in range(9, count - 2, 10))
    return LAYERS_HEAD + "".join(lines) + LAYERS_TAIL + f"split:\n  after:\n{cuts}"


def family_spec(count: int) -> str:
    """A CIFAR ResNet of about so many layers (a residual block is one), cut after each of them."""
    per_stage = (count - 2) // 3
    names = [f"stage{s}.{i}" for s in (1, 2, 3) for i in range(per_stage)]
    cuts = "".join(f"    - {name}\n" for name in names[:-1])
    return FAMILY % (6 * per_stage + 2) + f"split:\n  after:\n{cuts}"


KINDS = {"layers": layers_spec, "family": family_spec}


def seconds(command: Sequence[str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}{done.stdout}")
    return time.perf_counter() - start


def medians(commands: dict[str, Sequence[str]], runs: int) -> dict[str, float]:
    """The median time of each command; the commands take turns, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for i in range(runs + 1):
        for name, command in commands.items():
            taken = seconds(command)
            if i:
                times[name].append(taken)
    return {name: statistics.median(values) for name, values in times.items()}


def measure(runs: int, kind: str) -> dict[str, float]:
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        commands: dict[str, Sequence[str]] = {
            "import_torch": (python, "-c", "import torch"),
            "hpff_imagenet": (python, "-m", "specc", "validate", str(SPEC)),
        }
        for count in (1_000, 5_000):
            path = Path(folder) / f"{count}.yaml"
            path.write_text(KINDS[kind](count), encoding="utf-8")
            commands[f"layers_{count}"] = (python, "-m", "specc", "validate", str(path))
        return medians(commands, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file as well")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--kind", choices=KINDS, default="layers", help="how the long backbones are written")
    arguments = parser.parse_args()
    times = measure(arguments.runs, arguments.kind)
    ratio = times["hpff_imagenet"] / times["import_torch"]
    growth = times["layers_5000"] / times["layers_1000"]
    print(f"import torch                      {times['import_torch']:.3f} s")
    print(f"specc validate hpff_imagenet.yaml {times['hpff_imagenet']:.3f} s   ratio {ratio:.3f} (limit {RATIO_LIMIT})")
    print(f"validate 1,000 layers             {times['layers_1000']:.3f} s")
    print(f"validate 5,000 layers             {times['layers_5000']:.3f} s   {growth:.2f} times (limit {GROWTH_LIMIT})")
    if arguments.json:
        limits = {"ratio": RATIO_LIMIT, "growth": GROWTH_LIMIT}
        document = {"format_version": 1, "seconds": times, "ratio": ratio, "growth": growth, "limits": limits}
        arguments.json.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    sys.exit(ratio > RATIO_LIMIT or growth > GROWTH_LIMIT)


if __name__ == "__main__":
    main()

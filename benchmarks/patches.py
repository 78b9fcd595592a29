"""What one decoder takes beyond its features, by patch grid and execution: live tensor bytes, forward and backward.

    python -m benchmarks.patches [--json FILE]

Under fake tensors, so nothing is computed and no data set is needed. The decoder is that of the first unit of
`specs/infopro_cifar10.yaml` at batch size 128, its weights shared by all patches.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from torch._subclasses import FakeTensorMode

import specc
from runtime import Session
from runtime.memory.meter import LiveTensors
from specc.plan import Plan
from specc.step.heads import HeadRun

SPEC = Path(__file__).parent.parent / "specs" / "infopro_cifar10.yaml"
GRIDS = (1, 2, 4)


def head_bytes(plan: Plan) -> int:
    """Peak of the first unit's decoder above what is alive before it: parameters, features and images."""
    unit = plan.units[0]
    head = next(head for head in unit.heads if head.target == "images")
    assert plan.data.shape is not None
    batch = plan.config.data.batch_size
    with FakeTensorMode():
        session = Session(plan, initialise=False)
        features, images = torch.zeros(batch, *unit.feature), torch.zeros(batch, *plan.data.shape)
        with LiveTensors([*session.resident(), features, images]) as live:
            before = live.alive
            HeadRun(session.executor.machine, head, images, head.weight)(features)
            return live.peak - before


def rows() -> Iterator[dict[str, int]]:
    """One row a grid: bytes by execution."""
    for grid in GRIDS:
        patches = [f"grid=[{grid}, {grid}]", "weights=shared"]
        found = {
            execution: head_bytes(
                specc.compile(
                    SPEC,
                    ["data.batch_size=128"]
                    + [f"auxiliary.reconstruction.patches.{p}" for p in (*patches, f"execution={execution}")],
                )
            )
            for execution in ("joint", "sequential")
        }
        yield {"grid": grid, **found}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    table = list(rows())
    print("| grid | joint | sequential |\n|---|---|---|")
    for row in table:
        cells = (f"{row[e] / 2**20:.1f} MiB" for e in ("joint", "sequential"))
        print(f"| {row['grid']} × {row['grid']} | {' | '.join(cells)} |")
    if arguments.json:
        arguments.json.write_text(json.dumps({"format_version": 1, "rows": table}, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()

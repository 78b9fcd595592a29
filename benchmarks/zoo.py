"""Every classification model of torchvision: split into four blocks, planned, and run for one training step.

    python benchmarks/zoo.py [--json FILE] [NAME...]

Images are as small as the model sensibly takes, the batch is two, each block has a local classifier. Models whose
tensors would fill a small machine run their step under fake tensors, where everything happens but the arithmetic;
the table says so. `ratio` is the predicted peak over the traced one, `opaque` counts the nodes that the vocabulary of
ops has no word for. The exit status is 1 when fewer than nine in ten run.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision

import specc
from runtime import Session
from runtime.memory.trace import trace
from specc.diagnostics import SpecError
from specc.graph.families import TorchvisionModel
from specc.graph.ops import Opaque
from specc.language.schema import show_bytes
from specc.plan import Plan
from specc.spec.load import loads

SIZES = {"inception_v3": 96, "maxvit_t": 224, "vit_h_14": 56}
SIZE, CLASSES, BATCH = 64, 10, 2
LARGEST = 150_000_000  # parameters of a model whose step is really computed
WANTED = 0.9
HEADINGS = ("model", "image", "layers", "cuts", "opaque", "K", "parameters", "peak", "ratio", "step", "seconds")


@dataclass
class Row:
    """What became of one model; `step` is `real`, `fake`, or why there was none."""

    model: str
    image: int
    layers: int = 0
    cuts: int = 0
    opaque: int = 0
    blocks: int = 0
    parameters: int = 0
    predicted_peak_bytes: int = 0
    traced_peak_bytes: int = 0
    step: str = ""
    seconds: float = 0.0

    @property
    def ran(self) -> bool:
        return self.step in ("real", "fake")

    @property
    def cells(self) -> tuple[str, ...]:
        ratio = f"{self.predicted_peak_bytes / self.traced_peak_bytes:.3f}" if self.traced_peak_bytes else "-"
        numbers = (self.image, self.layers, self.cuts, self.opaque, self.blocks)
        millions, peak = f"{self.parameters / 1e6:.1f} M", show_bytes(self.predicted_peak_bytes)
        return (self.model, *map(str, numbers), millions, peak, ratio, self.step, f"{self.seconds:.1f}")


def document(row: Row) -> dict[str, Any]:
    data = {"dataset": "synthetic", "image_size": row.image, "channels": 3, "classes": CLASSES, "samples": 8}
    return {
        "specc": 1,
        "name": "zoo",
        "data": data | {"batch_size": BATCH},
        "backbone": {"torchvision": row.model},
        "split": {"blocks": row.blocks},
        "auxiliary": {"classifier": {}},
        "levels": [{"name": "independent"}],
    }


def examine(row: Row) -> None:
    """Fill the row in, as far as it goes."""
    graph = TorchvisionModel(torchvision=row.model).expand((3, row.image, row.image), CLASSES)
    row.layers, row.cuts = len(graph.layers), len(graph.cuts)
    row.opaque = sum(isinstance(node.op, Opaque) for node in graph.nodes)
    row.parameters = sum(torch.Size(s).numel() for node in graph.nodes for s in node.parameters.values())
    row.blocks = 4 if row.cuts >= 3 else 2
    plan = specc.compile(loads(json.dumps(document(row), allow_nan=False)))
    row.predicted_peak_bytes = plan.memory.peak_bytes
    row.traced_peak_bytes = trace(plan).peak_bytes
    row.step = "fake" if row.parameters > LARGEST else step(plan)


def step(plan: Plan) -> str:
    """One real step; every block must have moved and every loss be a number."""
    session = Session(plan)
    before = {key: tensor.clone() for key, tensor in session.named_parameters()}
    assert plan.data.shape is not None
    losses = session.train_step(torch.rand(BATCH, *plan.data.shape), torch.arange(BATCH)).total.values()
    if not all(torch.isfinite(loss) for loss in losses):
        return "a loss is not finite"
    after = dict(session.named_parameters())
    for block in plan.blocks:
        names = plan.networks[block.name].parameters
        if all(torch.equal(after[name], before[name]) for name in names):
            return f"{block.name} does not move"
    return "real"


def run(name: str) -> Row:
    row = Row(name, SIZES.get(name, SIZE))
    start = time.perf_counter()
    try:
        examine(row)
    except SpecError as error:
        row.step = "; ".join(f"{d.code}: {d.message}" for d in error.diagnostics)
    except Exception as error:
        row.step = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    row.seconds = time.perf_counter() - start
    gc.collect()
    return row


def line(cells: Sequence[str]) -> str:
    first, *others = cells
    return f"{first:20}" + "".join(
        f" {cell:>{max(7, len(head))}}" for cell, head in zip(others, HEADINGS[1:], strict=True)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; by default all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON")
    arguments = parser.parse_args()
    names = arguments.names or torchvision.models.list_models(module=torchvision.models)
    print(f"torchvision {torchvision.__version__}, torch {torch.__version__}, batch {BATCH}, CPU")
    print(line(HEADINGS))
    rows = []
    for name in names:
        rows.append(run(name))
        print(line(rows[-1].cells), flush=True)
    count = {kind: sum(row.step == kind for row in rows) for kind in ("real", "fake")}
    ran = sum(row.ran for row in rows)
    print(f"{ran} of {len(rows)} models run: {count['real']} really, {count['fake']} under fake tensors")
    if arguments.json:
        found = {"format_version": 1, "torchvision": torchvision.__version__, "rows": [asdict(row) for row in rows]}
        arguments.json.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return 0 if ran >= WANTED * len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Small runs on real digits, for pages that show what came of them; some seconds each."""

from __future__ import annotations

import json
from pathlib import Path

from tests.commands import specc
from tests.documents import Document

LOCAL: Document = {
    "specc": 1,
    "name": "digits-in-four-blocks",
    "data": {"dataset": "digits", "batch_size": 256},
    "backbone": {"family": "resnet_cifar", "depth": 14, "widths": [8, 8, 16, 32]},
    "split": {"blocks": 4},
    "auxiliary": {"classifier": {"layers": "1c2f", "hidden": 16}},
    "train": {"epochs": 4, "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}, "seed": 0},
    "budget": {"memory": "8 MiB"},
}
WHOLE: Document = LOCAL | {
    "name": "digits-end-to-end", "split": {"blocks": 1}, "auxiliary": {}, "budget": {"memory": "16 MiB"},
}  # fmt: skip


def trained(document: Document, folder: Path) -> Path:
    """The directory of a run of a spec."""
    spec, run = folder / f"{document['name']}.yaml", folder / document["name"]
    spec.write_text(json.dumps(document), encoding="utf-8")
    done = specc("run", spec.name, "--run-dir", run, "--device", "cpu", "--no-report", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return run

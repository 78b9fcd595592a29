"""The command line: see the package."""

from __future__ import annotations

import json
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import specc
from runtime import Session
from runtime.memory.measure import random_batch
from specc.runs import RunRecord, Status, read_run

from .page import FIGURES, PAGE, PICTURE, STEPS, picture, text
from .settings import SEEDS, settings

HALVES = (("train", 3), ("t10k", 2))
ROUNDS = 15


def subset(source: str, target: str) -> None:
    """IDX files with every n-th image of those in another folder."""
    for half, every in HALVES:
        for kind in ("images-idx3", "labels-idx1"):
            name = f"{half}-{kind}-ubyte"
            data = (Path(source) / name).read_bytes()
            head, count = 4 + 4 * data[3], struct.unpack(">I", data[4:8])[0]
            size = (len(data) - head) // count
            kept = [data[head + i * size : head + (i + 1) * size] for i in range(0, count, every)]
            Path(target).mkdir(parents=True, exist_ok=True)
            (Path(target) / name).write_bytes(data[:4] + struct.pack(">I", len(kept)) + data[8:head] + b"".join(kept))
            print(f"{name}: {len(kept)}")


def run(folder: str) -> None:
    """Train what has no results yet, seed by seed."""
    for seed in SEEDS:
        for each in settings():
            target = Path(folder) / each.folder(seed)
            if read_run(target).status is not Status.COMPLETED:
                command = [sys.executable, "-m", "specc", "run", str(each.spec), "--device", "cpu"]
                several = ["--nproc", str(each.ranks)] if each.ranks > 1 else []
                subprocess.run([*command, *several, "--run-dir", str(target), *each.arguments(seed)], check=True)


def steps() -> None:
    """Processor time of a step of each, one thread, in turn: what else a machine does slows all of them alike."""
    torch.set_num_threads(1)
    ways = {each.name: each for each in settings() if each.timed}
    plans = {name: specc.compile(each.spec, each.step) for name, each in ways.items()}
    sessions = {name: (Session(plan, "cpu"), random_batch(plan, torch.device("cpu"))) for name, plan in plans.items()}
    took: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(ROUNDS + 2):
        for name, (session, batch) in sessions.items():
            began = time.process_time()
            session.train_step(*batch)
            took[name].append(time.process_time() - began)
    medians = {name: round(1e3 * statistics.median(each[2:]), 1) for name, each in took.items()}
    write(STEPS, {"torch": torch.__version__, "rounds": ROUNDS, "milliseconds": medians})


def gather(folder: str) -> None:
    """What the page needs of the summaries."""
    runs = [figures(each.name, each.group, seed, read_run(Path(folder) / each.folder(seed)))
            for each in settings() for seed in SEEDS]  # fmt: skip
    hardware = [each.pop("hardware") for each in runs]
    write(FIGURES, {"hardware": hardware[0], "runs": runs})


def figures(name: str, group: str, seed: int, record: RunRecord) -> dict[str, Any]:
    """Of one run; one that is not complete ends this."""
    if record.status is not Status.COMPLETED:
        raise SystemExit(f"{record.path}: {record.status}: {', '.join(record.remarks)}")
    said = record.summary
    keys = ("seed", "epochs", "steps", "flops_per_image", "parameters", "wall_seconds", "test", "hardware")
    assert said["seed"] == seed
    memory = {key: said["memory"][key] for key in ("predicted_peak_bytes", "measured_peak_bytes")}
    units = [value for unit, value in said["units"]["test"].items() if unit.endswith(".accuracy")]
    return {"name": name, "group": group} | {key: said[key] for key in keys} | memory | {"units": units}


def write(path: Path, document: Any) -> None:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(f"wrote {path}")


def page() -> None:
    """The page and its picture."""
    for path, content in ((PAGE, text()), (PICTURE, picture())):
        path.write_text(content, encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    COMMANDS: dict[str, Callable[..., None]] = {f.__name__: f for f in (subset, run, steps, gather, page)}
    COMMANDS[sys.argv[1]](*sys.argv[2:])

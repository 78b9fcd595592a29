"""Steps of 1, 2 and 4 processes on this machine, by gloo with a thread each, beside what is simulated for them.

    python benchmarks/layouts.py SPEC [KEY=VALUE...] [--layouts DEVICES]... [--json]

It needs a calibrated CPU (OMP_NUM_THREADS=1 specc doctor --calibrate --device cpu) of one thread and an otherwise
quiet machine. More processes than it has cores take turns on them, which is simulated as well.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import specc
from runtime.engine.session import Session
from runtime.engine.wire import Wire
from runtime.memory.measure import random_batch
from specc.layout import every_rank, stages_of
from specc.layout.simulate import simulate
from specc.layout.stages import block_seconds
from specc.layout.timed import ranks_on
from specc.plan import Plan
from specc.profiles import find, here
from specc.timing import step_time
from specc.timing.events import Links

LAYOUTS = ("data_parallel: 1", "data_parallel: 2", "block_parallel: 2", "block_parallel: 2, mode: decoupled",
           "data_parallel: 2, block_parallel: 2", "block_parallel: 4",
           "block_parallel: 4, mode: decoupled")  # fmt: skip
WARM, STEPS, PROBE = 3, 10, 32 << 20
TIMEOUT = timedelta(minutes=5)


def joined(rank: int, count: int, store: str) -> None:
    """One of so many processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=count, timeout=TIMEOUT)


def work(rank: int, plans: tuple[Plan, ...], store: str, out: Any) -> None:
    """Several steps, timed together after a few."""
    joined(rank, len(plans), store)
    own = plans[rank]
    assert own.layout is not None
    session, size = Session(own, "cpu", wire=Wire(own)), own.config.data.batch_size
    images, labels = random_batch(own, torch.device("cpu"))
    first = own.layout.stage == 0
    began = 0.0
    for step in range(WARM + STEPS):
        if step == WARM:
            began = time.perf_counter()
        session.train_step(images if first else None, labels if first else None, samples=size)
    out.put((time.perf_counter() - began) / STEPS)
    session.finish()
    dist.barrier()
    dist.destroy_process_group()


def probe(rank: int, count: int, store: str, out: Any) -> None:
    """How long a small message is on its way, and how many bytes a second a large one has."""
    joined(rank, count, store)
    for numbers, repeats in ((1, 200), (PROBE // 4, 10)):
        message = torch.zeros(numbers)
        dist.barrier()
        began = time.perf_counter()
        for _ in range(repeats):
            for turn in range(count):
                dist.send(message, 1 - rank) if turn == rank else dist.recv(message, 1 - rank)
        if rank == 0:
            out.put((time.perf_counter() - began) / repeats / 2)
    dist.destroy_process_group()


def spawned(function: Any, count: int, *args: Any, answers: int) -> list[float]:
    """What so many processes say."""
    context = mp.get_context("spawn")
    out = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        started = [
            context.Process(target=function, args=(rank, *args, f"{folder}/store", out)) for rank in range(count)
        ]
        for process in started:
            process.start()
        found = [out.get(timeout=TIMEOUT.total_seconds()) for _ in range(answers)]
        for process in started:
            process.join()
    return found


def measured(spec: str, overrides: list[str], name: str | None, layouts: Sequence[str]) -> dict[str, Any]:
    """Every layout, measured and simulated."""
    profile = find(name) if name else here("cpu")
    if profile is None:
        raise SystemExit("no calibrated CPU: OMP_NUM_THREADS=1 specc doctor --calibrate --device cpu")
    latency, large = spawned(probe, 2, 2, answers=2)
    links = Links(PROBE / max(large - latency, 1e-9), latency)
    rows, cores = [], len(os.sched_getaffinity(0))
    for devices in layouts:
        plan = specc.compile(spec, [*overrides, f"devices={{{devices}}}", "budget=null"], device="cpu")
        plans = every_rank(plan, stages_of(plan, block_seconds(plan, step_time(plan, profile).instructions)))
        predicted = simulate(ranks_on(plans, profile), links, cores=cores).step_seconds
        seconds = max(spawned(work, len(plans), plans, answers=len(plans)))
        rows.append({"devices": devices, "measured": seconds, "simulated": predicted, "ratio": predicted / seconds})
    return {
        "spec": spec,
        "bandwidth": links.bandwidth,
        "latency_seconds": latency,
        "profile": profile.name,
        "cores": cores,
        "rows": rows,
    }


def main() -> None:
    """A line a layout, or a document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--device-profile", help="by default the CPU that was calibrated here")
    parser.add_argument(
        "--layouts", action="append", metavar="DEVICES", help="by default all: `block_parallel: 2`, ..."
    )
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measured(asked.spec, asked.overrides, asked.device_profile, asked.layouts or LAYOUTS)
    if asked.json:
        print(json.dumps(found, indent=1, allow_nan=False))
        return
    print(f"{found['bandwidth'] / 1e9:.3g} GB/s after {found['latency_seconds'] * 1e6:.0f} µs")
    for row in found["rows"]:
        print(
            f"{row['devices']:40} {row['measured'] * 1e3:9.2f} ms {row['simulated'] * 1e3:9.2f} ms {row['ratio']:6.2f}"
        )


if __name__ == "__main__":
    main()

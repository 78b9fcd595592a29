"""What a worker of `benchmarks.step` does: builds training steps, and times them."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from typing import Any

import torch

import specc
from benchmarks import plain
from benchmarks.step import NETWORKS
from runtime import Session
from runtime.engine.model import MEMORY_FORMATS
from runtime.memory.measure import random_batch
from specc.plan import Plan
from specc.spec.load import loads

LR = 1e-4
AT_ONCE = 2  # steps


class Steps:
    """Steps by name."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.made: dict[str, Callable[[], Any]] = {}

    def build(self, case: dict[str, Any], loop_first: bool) -> None:
        """The same network and optimizer in one block and in a loop, which take their memory one after the other."""
        plan = case_plan(case)
        network = getattr(plain, {"vit": "Vit"}.get(case["network"], case["network"]))()
        loop = plain.Loop(network, case["optimizer"], MEMORY_FORMATS[case["memory_format"]])
        ours, theirs = (sum(p.numel() for p in m.parameters()) for m in (Session(plan).model.blocks[0], network))
        if ours != theirs:
            raise ValueError(f"the networks differ: {ours} and {theirs} parameters")
        images, labels = random_batch(plan, torch.device("cpu"))
        self.made = {"specc": _step(plan), "loop": lambda: loop.step(images, labels)}
        for name in ("loop", "specc") if loop_first else ("specc", "loop"):
            for _ in range(2):
                self.made[name]()

    def build_spec(self, path: str, batch: int, name: str) -> None:
        """The step of a spec."""
        self.made[name] = _step(specc.compile(path, [f"data.batch_size={batch}"]))
        self.made[name]()

    def build_compiled(self, network: str, backbone: dict[str, Any]) -> float:
        """The same step as it is and compiled; and the seconds of the first ones, which the compiler takes."""
        case = {"network": network, "optimizer": "sgd", "memory_format": "contiguous", "backbone": backbone}
        self.made = {name: _step(case_plan(case, compile=name == "compiled")) for name in ("plain", "compiled")}
        began = time.perf_counter()
        for step in self.made.values():
            step()
        return round(time.perf_counter() - began, 1)

    def forget(self, name: str) -> None:
        """It is needed no more."""
        del self.made[name]

    def time(self, name: str) -> float:
        """CPU seconds of a step."""
        began = time.process_time()
        for _ in range(AT_ONCE):
            self.made[name]()
        return (time.process_time() - began) / AT_ONCE

    def faults(self, name: str) -> int:
        """Pages that a step has the system give it again."""
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        self.made[name]()
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    def resident(self, path: str, batch: int) -> dict[str, float]:
        """MiB of a fresh process beyond what it held before the first step."""
        plan = specc.compile(path, [f"data.batch_size={batch}"])
        step = _step(plan)
        before = status("VmRSS")
        for _ in range(3):
            step()
        return {"highest": status("VmHWM") - before, "afterwards": status("VmRSS") - before,
                "predicted": round(plan.memory.peak_bytes / 2**20, 1)}  # fmt: skip


def case_plan(case: dict[str, Any], **train: Any) -> Plan:
    """One block."""
    backbone, usual = NETWORKS[case["network"]]
    batch = case.get("batch_size", usual)
    data = {"dataset": "synthetic", "image_size": 32, "channels": 3, "classes": 10, "samples": batch}
    training = {"optimizer": {"name": case["optimizer"], "lr": LR}, "memory_format": case["memory_format"]}
    document = {"specc": 1, "name": case["network"], "data": data | {"batch_size": batch},
                "backbone": case.get("backbone", backbone),
                "split": {"blocks": 1}, "train": training | train}  # fmt: skip
    return specc.compile(loads(json.dumps(document)))


def _step(plan: Plan) -> Callable[[], None]:
    """A step as a run takes it on a processor, which looks at all losses."""
    session = Session(plan)
    session.executor.watchful = True
    session.set_lr(LR)
    images, labels = random_batch(plan, torch.device("cpu"))

    def run() -> None:
        session.train_step(images, labels)
        session.executor.check_losses()

    return run


def status(key: str) -> float:
    """MiB, of /proc/self/status."""
    with open("/proc/self/status", encoding="ascii") as file:
        return round(next(int(line.split()[1]) for line in file if line.startswith(key)) / 1024, 1)

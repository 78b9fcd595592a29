"""Predicted step times against measured ones, for thirty specs on this machine's CPU, after a calibration of its own.

    python benchmarks/time_model.py [--json FILE] [--profile FILE] [--threads N] [--development] [--seconds S]
    python benchmarks/time_page.py  # what docs/time.md says, from docs/results/time_model.json

Without --profile the device is calibrated first, as `specc doctor --calibrate` does it. On one thread, times are those
that the processor worked for this process, so that other programs disturb little; the median of a spec's steps counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from time_specs import development, held_out

from runtime.engine.heap import keep_freed_memory
from runtime.engine.session import Session
from runtime.memory.measure import random_batch
from runtime.timing.calibrate import calibrate
from runtime.timing.clock import Clock
from specc.plan import Plan
from specc.profiles import Profile, find
from specc.timing import step_time

STEPS = (3, 60)  # the fewest and the most that are measured
MEDIAN, WORST, RANKS = 0.20, 0.40, 0.95  # what is promised


@dataclass(frozen=True, slots=True)
class Pair:
    """A step of a spec, predicted and measured, in seconds."""

    name: str
    predicted: float
    measured: float
    steps: int

    @property
    def error(self) -> float:
        return self.predicted / self.measured - 1


def measured(plan: Plan, clock: Clock, seconds: float) -> tuple[float, int]:
    """The median of as many steps as take so long, after two that warm up."""
    session = Session(plan, clock.device)
    session.set_lr(0.0)
    images, labels = random_batch(plan, clock.device)
    found: list[float] = []
    for _ in range(2):
        session.train_step(images, labels)
    while len(found) < STEPS[0] or (sum(found) < seconds and len(found) < STEPS[1]):
        found.append(clock.once(lambda: session.train_step(images, labels)))
    return statistics.median(found), len(found)


def pairs(plans: Iterator[tuple[str, Plan]], profile: Profile, clock: Clock, seconds: float) -> Iterator[Pair]:
    for name, plan in plans:
        took, steps = measured(plan, clock, seconds)
        yield Pair(name, step_time(plan, profile).seconds, took, steps)


def ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda i: values[i])
    found = [0.0] * len(values)
    for rank, i in enumerate(order):
        found[i] = float(rank)
    return found


def rank_correlation(found: Sequence[Pair]) -> float:
    """Spearman's."""
    return statistics.correlation(ranks([p.predicted for p in found]), ranks([p.measured for p in found]))


def summary(found: Sequence[Pair]) -> dict[str, Any]:
    errors = [abs(pair.error) for pair in found]
    return {
        "specs": len(found), "median_error": statistics.median(errors), "worst_error": max(errors),
        "rank_correlation": rank_correlation(found),
    }  # fmt: skip


def say(found: Sequence[Pair], tell: Callable[[str], None]) -> None:
    total = summary(found)
    off = f"off by {total['median_error']:.1%} in the median, {total['worst_error']:.1%} at worst"
    tell(f"{total['specs']} specs: {off}; rank correlation {total['rank_correlation']:.3f}")  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--profile", help="a profile that was measured before, by name or path")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="of steps of each spec")
    parser.add_argument("--development", action="store_true", help="the specs to work on the model with")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    torch.set_num_threads(asked.threads)
    keep_freed_memory()
    device = torch.device("cpu")
    began = time.perf_counter()
    profile = find(asked.profile) if asked.profile else calibrate(device)
    print(f"{profile.name}: calibrated in {time.perf_counter() - began:.0f} s", flush=True)
    found = []
    for pair in pairs(development() if asked.development else held_out(), profile, Clock(device), asked.seconds):
        found.append(pair)
        print(f"{pair.name:32} predicted {pair.predicted * 1e3:8.1f} ms, measured {pair.measured * 1e3:8.1f} ms "
              f"({pair.error:+.1%})", flush=True)  # fmt: skip
    say(found, print)
    if asked.json:
        document = {"format_version": 1, "profile": profile.name, "threads": asked.threads, **summary(found)}
        rows = [{**asdict(pair), "error": pair.error} for pair in found]
        asked.json.write_text(json.dumps(document | {"rows": rows}, indent=2, allow_nan=False) + "\n")
    total = summary(found)
    kept = total["median_error"] <= MEDIAN and total["worst_error"] <= WORST and total["rank_correlation"] >= RANKS
    sys.exit(0 if kept or asked.development else 1)


if __name__ == "__main__":
    main()

"""How far `specc fit --for time` is from the fastest there is: everything that fits is trained a few steps, and timed.

    python -m benchmarks.regret [--json FILE] [--networks N] [--steps N]

Small networks, four budgets each, and every split, number of slices (1, 2, 4, 8), recomputation (none, the least that
fits, all), precision. The profile is what `specc doctor --calibrate --device cpu` has left; without one FLOPs decide.
Processor time of one thread. What was measured is kept in the file, and a campaign that was stopped goes on from there.
The fastest of each case and the choice are then timed once more, in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

import torch

from runtime import Session
from runtime.memory.measure import measure, random_batch
from specc.compiler.draft import Draft
from specc.fit.attempts import Attempts, Candidate, cut
from specc.fit.fastest import Fastest, with_budget
from specc.pipeline import CHECKS, compile_spec, run_passes
from specc.plan import Plan
from specc.profiles import here
from specc.spec.dump import dump
from specc.spec.load import loads
from specc.spec.models import SpecModel

SHARES = (0.8, 0.6, 0.45, 0.3)  # of the peak of end-to-end training
SLICES, PRECISIONS = (1, 2, 4, 8), ("fp32", "bf16")
ALLOW = ("split", "recompute", "micro_batches", "precision")
NEAR, ROUNDS = 1.1, 15  # what is timed again: all within ten in a hundred of the fastest
MOST = 8
CPU = torch.device("cpu")
DATA = {"dataset": "synthetic", "image_size": 16, "channels": 3, "classes": 10, "samples": 64, "batch_size": 64}
END = [{"name": "mean", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 10}]


def _chain(op: str, *widths: int, **more: Any) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = []
    for i, width in enumerate(widths):
        stride = {"stride": 2} if i in (2, 4) else {}
        layers.append({"name": f"l{i}", "op": op, "out": width, **stride, **more})
    return [*layers, *END]


NETWORKS: dict[str, dict[str, Any]] = {
    "conv": {"layers": _chain("conv_bn_relu", 16, 16, 32, 32)},
    "wide": {"layers": _chain("conv_bn_relu", 32, 32, 32, 64)},
    "basic": {"layers": _chain("basic_block", 12, 12, 24, 24)},
    "bottleneck": {"layers": _chain("bottleneck", 32, 32, 64, 64)},
    "resnet": {"family": "resnet_cifar", "depth": 8, "widths": [8, 8, 16, 32]},
    "vit": {"family": "vit", "patch": 4, "width": 64, "depth": 4, "heads": 2},
}


def draft_of(name: str) -> Draft:
    """A network in one block, with a small classifier at every cut."""
    document = {
        "specc": 1, "name": name, "data": DATA, "backbone": NETWORKS[name], "split": {"blocks": 1},
        "auxiliary": {"classifier": {"hidden": 16}},
        "train": {"optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.9}},
    }  # fmt: skip
    return run_passes(loads(json.dumps(document)).on("cpu"), CHECKS)


def everything(attempts: Attempts, budget: int) -> Iterator[Candidate]:
    """All that fits a budget."""
    config = with_budget(attempts.draft.spec.config, budget)
    cuts = attempts.draft.graph.cut_choices
    splits = [after for count in range(len(cuts) + 1) for after in combinations(cuts, count)]
    for after, slices, precision in product(splits, SLICES, PRECISIONS):
        each = cut(config.changed("train", micro_batches=slices, precision=precision), after)
        found = {dump(one.config): one for one in (attempts(each), *attempts.recomputed(each, budget)) if one}
        yield from (one for one in found.values() if one.peak <= budget)


class Clock:
    """Steps of configurations, timed; every figure is kept."""

    def __init__(self, known: dict[str, float], steps: int) -> None:
        self.known, self.steps = known, steps

    def once(self, config: SpecModel) -> float:
        """The median of a few steps."""
        key = _key(config)
        if key not in self.known:
            self.known[key] = self.together([config], self.steps)[0]
        return self.known[key]

    def together(self, configs: list[SpecModel], rounds: int) -> list[float]:
        """The medians of steps that are taken in turn."""
        plans = [_plan(config) for config in configs]
        ready = [(Session(plan, "cpu"), random_batch(plan, CPU)) for plan in plans]
        took: list[list[float]] = [[] for _ in ready]
        for _ in range(rounds + 2):
            for (session, batch), own in zip(ready, took, strict=True):
                began = time.thread_time()
                session.train_step(*batch)
                own.append(time.thread_time() - began)
        return [statistics.median(own[2:]) for own in took]


def _key(config: SpecModel) -> str:
    return dump(config.model_copy(update={"budget": None}))


def _plan(config: SpecModel) -> Plan:
    return compile_spec(loads(_key(config)).on("cpu"))[0]


def case(name: str, attempts: Attempts, share: float, clock: Clock) -> dict[str, Any]:
    """One network under one budget."""
    draft = attempts.draft
    plain = attempts(draft.spec.config)
    assert plain is not None
    budget = int(share * plain.peak)
    chosen = Fastest(attempts, draft.spec.config, ALLOW).under(budget)
    found: dict[str, Any] = {"network": name, "share": share, "budget_bytes": budget, "chosen": None}
    every = list(everything(attempts, budget))
    found["fitting"] = len(every)
    if chosen is None or not every:
        return found | {"right": chosen is None and not every}
    fastest = sorted(every, key=lambda each: clock.once(each.config))
    limit = NEAR * clock.once(fastest[0].config)
    again = [chosen, *(each for each in fastest if clock.once(each.config) <= limit)][:MOST]
    seconds = clock.together([each.config for each in again], ROUNDS)
    peak = measure(_plan(chosen.config), CPU, 3).peak_bytes
    regret = seconds[0] / min(seconds) - 1
    return found | {
        "chosen": _said(chosen), "best": _said(again[seconds.index(min(seconds))]), "regret": regret,
        "seconds": seconds[0], "best_seconds": min(seconds), "predicted_seconds": chosen.seconds,
        "measured_peak_bytes": peak, "within_budget": peak <= budget, "right": regret <= NEAR - 1 and peak <= budget,
    }  # fmt: skip


def _said(each: Candidate) -> dict[str, Any]:
    train = each.config.train
    again = train.recompute if isinstance(train.recompute, bool) else train.recompute.model_dump(exclude_none=True)
    return {"after": list(each.after), "micro_batches": train.micro_batches, "precision": train.precision,
            "recompute": again}  # fmt: skip


def main() -> None:
    """Measure, and say how often the choice is right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where figures are kept and results written")
    parser.add_argument("--networks", type=int, default=len(NETWORKS))
    parser.add_argument("--steps", type=int, default=3, help="of each configuration, after two that do not count")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    kept = json.loads(asked.json.read_text()) if asked.json and asked.json.exists() else {}
    cases = {(each["network"], each["share"]): each for each in kept.get("cases", [])}
    known, profile = kept.get("seconds", {}), here("cpu")
    print(f"profile: {profile.name if profile else 'none, by FLOPs'}")
    for name in list(NETWORKS)[: asked.networks]:
        attempts = Attempts(draft_of(name), profile)
        for share in SHARES:
            if (name, share) not in cases:
                cases[name, share] = case(name, attempts, share, Clock(known, asked.steps))
                if asked.json:
                    text = json.dumps({"cases": [*cases.values()], "seconds": known}, indent=1, allow_nan=False)
                    asked.json.write_text(f"{text}\n")
            print(_line(cases[name, share]), flush=True)
    print(f"right in {sum(each['right'] for each in cases.values())} of {len(cases)} cases")


def _line(each: dict[str, Any]) -> str:
    head = f"{each['network']:11} {each['share']:.0%} of the peak, {each['fitting']} fit: "
    if each["chosen"] is None:
        return f"{head}nothing chosen"
    return f"{head}{each['regret']:+.1%}, {'right' if each['right'] else 'WRONG'}: {each['chosen']} / {each['best']}"


if __name__ == "__main__":
    main()

"""Measures what works take on a device, and makes a profile of it."""

from __future__ import annotations

import platform
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from math import log2
from typing import Any

import torch

from specc.graph.ops import numel
from specc.memory.storage import Direction
from specc.profiles.finding import versions_of
from specc.profiles.model import Curve, Profile, Rate, Table
from specc.timing.features import MOVE, Features, features_of, kind_of
from specc.timing.samples import Sample, samples
from specc.timing.surface import fit
from specc.timing.work import Work

from ..engine.device import identity, kind
from ..engine.heap import keep_freed_memory
from ..errors import RunError
from .clock import Clock
from .host import with_host
from .instructions import with_instructions
from .moves import Move, moves
from .ops import OpBench

PASSES = 2  # over everything: what was disturbed once is measured again
FEWEST = 4  # points that a surface can go through
_RATED: dict[str, Rate] = {"conv": "conv", "linear": "matmul"}
Points = dict[str, dict[Features, dict[Direction, float]]]
Going = Callable[[Sequence[Sample]], Iterable[Sample]]
Only = Callable[[Sample | Move], bool]


def calibrate(device: torch.device, going: Going = iter, only: Only = lambda each: True) -> Profile:
    """Measure a device; `going` goes through what is measured and shows how far it is."""
    if device.type == "cpu":
        keep_freed_memory()
    clock = Clock(device)
    bench = OpBench(device, clock)
    todo = [sample for sample in samples(kind(device)) if only(sample)]
    points: Points = defaultdict(lambda: defaultdict(dict))
    rates: dict[tuple[Rate, str], list[float]] = defaultdict(list)
    for sample in going(todo * PASSES):
        _measure(bench, sample, points, rates)
    for _ in range(PASSES):
        for move in moves(device):
            if only(move):
                place = log2(max(move.size, 1)), log2(move.calls)
                _note(points, f"{MOVE}{move.what}", place, {"forward": clock.seconds(move.call)})
    for size in (1.0, 2.0, 4.0, 8.0):
        _note(points, f"{MOVE}engine", (log2(size), 0.0), {"forward": bench.engine})
    return with_instructions(with_host(_profile(device, points, rates), device, clock), device, clock)


def _measure(bench: OpBench, sample: Sample, points: Points, rates: Any) -> None:
    """One sample; what a device has no kernel for is left out."""
    node = sample.node
    try:
        found = bench.measure(sample)
    except RuntimeError:
        return
    work = Work(node.op.name, "forward", sample.rows, node.flops * sample.rows, 0, 0, sample.width, sample.order, node,
                sample.turned)  # fmt: skip
    _note(points, kind_of(work), features_of(work), found)
    precision = "fp32" if sample.width == 4 else "bf16"
    rated = _RATED.get(node.op.name, "other")
    if rated != "other":
        rates[rated, precision].append(work.flops / found["forward"])
    elif node.op.name == "add" and not sample.turned:
        rates["other", precision].append(sample.rows * 3 * numel(node.shape) * sample.width / found["forward"])


def _note(points: Points, kind: str, features: Features, found: dict[Direction, float]) -> None:
    """The best of what was measured so far."""
    own = points[kind][tuple(round(value, 3) for value in features)]
    for direction, seconds in found.items():
        own[direction] = min(seconds, own.get(direction, seconds))


def _profile(device: torch.device, points: Points, rates: Any) -> Profile:
    known = identity(device)
    versions = versions_of(known)
    if device.type == "cpu":
        versions["threads"] = str(torch.get_num_threads())
    name = _named(device, known)
    tables = {key: table for what, own in points.items() for key, table in _tables(what, own)}
    if "conv" not in tables or "linear" not in tables:
        raise RunError("too few ops could be measured on this device", ())
    bandwidth = max(rates.pop(("other", "fp32"), [1e10]))
    rates.pop(("other", "bf16"), None)
    best: dict[Any, dict[Any, float]] = {}
    for (rated, precision), found in rates.items():
        best.setdefault(rated, {})[precision] = float(f"{max(found):.4g}")
    launch = min(min(own.values()) for own in points["relu"].values()) if "relu" in points else 5e-6
    memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None
    return Profile(
        1, _slug(name, versions), name, kind(device), "calibrated", best,
        float(f"{bandwidth:.4g}"), float(f"{launch:.4g}"), memory, {}, {"all": "specc doctor --calibrate"},
        datetime.now(UTC).isoformat(timespec="seconds"), versions, tables=tables,
    )  # fmt: skip


def _named(device: torch.device, known: dict[str, Any]) -> str:
    """As people call it."""
    return str(known["device"]) if device.type == "cuda" else processor()


def processor() -> str:
    """The processor's model, as far as the system says."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            found = re.search(r"^model name\s*:\s*(.+)$", file.read(), re.MULTILINE)
    except OSError:
        found = None
    return (found[1].strip() if found else platform.processor()) or platform.machine() or "cpu"


def _slug(name: str, versions: dict[str, str]) -> str:
    threads = f"-{versions['threads']}-threads" if "threads" in versions else ""
    torch_version = versions.get("torch", "").partition("+")[0]
    return re.sub(r"[^a-z0-9.]+", "-", f"{name}{threads}-torch-{torch_version}".lower()).strip("-.")[:200]


def _tables(kind: str, own: dict[Features, dict[Direction, float]]) -> Iterator[tuple[str, Table]]:
    """A table of a kind: the points that have all its directions."""
    directions = {direction for found in own.values() for direction in found}
    whole = {features: found for features, found in own.items() if found.keys() == directions}
    curves: dict[str, Curve] = {}
    if len(whole) < FEWEST:
        return
    listed = sorted(whole)
    for direction in sorted(directions):
        if all(direction in whole[features] for features in listed):
            curves[direction] = fit(listed, [whole[features][direction] for features in listed])
    if curves:
        yield kind, Table(tuple(listed), curves)

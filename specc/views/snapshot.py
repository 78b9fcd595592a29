"""A predicted step in the format of `torch.cuda.memory._snapshot()`, for PyTorch's memory visualiser."""

from __future__ import annotations

import pickle
from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..memory.recording import Event, record
from ..plan import Plan

PROTOCOL = 4  # the newest that the visualiser reads
ALIGNED = 512  # bytes; addresses are multiples of it, as those of CUDA's allocator are
BASE = 1 << 32  # where the addresses begin
NO_CATEGORY = "unknown"  # the visualiser fails on a snapshot with categories that has not this one

Frames = list[dict[str, Any]]


def snapshot_pickle(plan: Plan) -> bytes:
    """The file that https://pytorch.org/memory_viz opens."""
    return pickle.dumps(snapshot_document(plan), PROTOCOL)


def snapshot_document(plan: Plan) -> dict[str, Any]:
    """Every allocation of a step in order, one segment that they lie in, and what is left in it at the end.

    The most that is alive is the predicted peak. Addresses are dealt out first fit, without what CUDA rounds.
    """
    recording, space = record(plan), Space()
    frames = _Frames(plan)
    trace = [_event("alloc", BASE - ALIGNED, 0, [], NO_CATEGORY)]
    alive: dict[int, dict[str, Any]] = {}
    for event in recording.events:
        if event.taken:
            made = _event("alloc", BASE + space.take(event.bytes), event.bytes, frames.of(event), event.category)
            alive[event.key] = made
            trace.append(made)
        else:
            was = alive.pop(event.key)
            space.give(was["addr"] - BASE, event.bytes)
            trace += (_event(action, was["addr"], event.bytes, frames.of(event), event.category)
                      for action in ("free_requested", "free_completed"))  # fmt: skip
    segment = _segment(sorted(alive.values(), key=lambda e: e["addr"]), space.end)
    return {"segments": [segment], "device_traces": [trace]}


def _event(action: str, address: int, size: int, frames: Frames, category: str) -> dict[str, Any]:
    return {"action": action, "addr": address, "size": size, "stream": 0, "frames": frames, "category": category}


def _segment(alive: Sequence[dict[str, Any]], size: int) -> dict[str, Any]:
    held = sum(event["size"] for event in alive)
    return {"device": 0, "address": BASE, "total_size": size, "stream": 0, "segment_type": "large",
            "allocated_size": held, "active_size": held, "requested_size": held, "frames": [],
            "blocks": list(_blocks(alive, size))}  # fmt: skip


def _blocks(alive: Sequence[dict[str, Any]], size: int) -> Iterator[dict[str, Any]]:
    """What lies in the segment from its beginning to its end, gaps included."""
    at = BASE
    for event in alive:
        if event["addr"] > at:
            yield _gap(at, event["addr"] - at)
        at = event["addr"] + event["size"]
        yield {"address": event["addr"], "size": event["size"], "requested_size": event["size"],
               "state": "active_allocated", "frames": event["frames"],
               "history": [{"addr": event["addr"], "real_size": event["size"], "frames": event["frames"]}]}  # fmt: skip
    if BASE + size > at:
        yield _gap(at, BASE + size - at)


def _gap(address: int, size: int) -> dict[str, Any]:
    return {"address": address, "size": size, "requested_size": 0, "state": "inactive", "frames": []}


class _Frames:
    """What stands where a real snapshot has the Python stack: the op, and below it the instruction."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.known: dict[tuple[int, str, str], Frames] = {}  # the same list again, which pickles as a reference

    def of(self, event: Event) -> Frames:
        """The frames of an event."""
        key = event.instruction, event.op, event.category
        if key not in self.known:
            self.known[key] = list(self._made(*key))
        return self.known[key]

    def _made(self, number: int, op: str, category: str) -> Iterator[dict[str, Any]]:
        if number < 0:
            yield _frame(f"network {op}" if op else "batch", 0, category)
            return
        instruction = self.plan.instructions[number]
        if op:
            yield _frame(instruction.about, 0, op)
        yield _frame(self.plan.name, number, str(instruction))


def _frame(file: str, line: int, name: str) -> dict[str, Any]:
    return {"filename": file, "line": line, "name": name}


@dataclass
class Space:
    """Addresses from 0 on, first fit."""

    end: int = 0
    free: list[tuple[int, int]] = field(default_factory=list)  # address and size of the gaps, in order

    def take(self, size: int) -> int:
        """Where there is room for so many bytes."""
        size = _aligned(size)
        for i, (address, room) in enumerate(self.free):
            if room >= size:
                self.free[i : i + 1] = [(address + size, room - size)] if room > size else []
                return address
        address, self.end = self.end, self.end + size
        return address

    def give(self, address: int, size: int) -> None:
        """There is room again; gaps that touch become one."""
        size = _aligned(size)
        insort(self.free, (address, size))
        i = self.free.index((address, size))
        for j in (i, i - 1):
            if 0 <= j < len(self.free) - 1 and sum(self.free[j]) == self.free[j + 1][0]:
                self.free[j : j + 2] = [(self.free[j][0], self.free[j][1] + self.free[j + 1][1])]


def _aligned(size: int) -> int:
    """At least one step, so that nobody shares an address."""
    return max(-(-size // ALIGNED), 1) * ALIGNED

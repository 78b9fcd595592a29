"""What several devices do, in time: each works through its actions in order, and transfers take their links in turn.

Nothing is known here of plans. The same programs give the same times, to the last digit.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
from typing import Final, Literal

Key = Hashable
Port = tuple[int, bool | str]


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes that move once all `parties` have asked for them: from one device to another, or round a ring of them.

    Each of the `members` sends, or receives, so many bytes; a transfer has its members' links to itself.
    """

    members: tuple[int, ...]  # of two the first one sends; a ring's all send and receive; one moves from or to its host
    bytes: float = 0.0
    hops: int = 1  # latencies, one after the other
    ring: bool = False
    seconds: float = 0.0  # on the way between a device and its host
    way: Literal["in", "out", None] = None  # which each have one transfer at a time; none is word that takes no time

    @property
    def ports(self) -> tuple[Port, ...]:
        """The links that it takes: those out of devices, and those into them."""
        if len(self.members) == 1:
            return () if self.way is None else ((self.members[0], self.way),)
        if self.ring:
            return tuple((member, out) for member in self.members for out in (True, False))
        source, to = self.members
        return ((source, True), (to, False))


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a device does: asks for transfers, waits for some, works, and then asks for others."""

    label: str
    seconds: float = 0.0
    asks: tuple[Key, ...] = ()
    awaits: tuple[Key, ...] = ()
    gives: tuple[Key, ...] = ()
    ends: bool = False  # a step of this device


@dataclass(frozen=True, slots=True)
class Links:
    """How fast a device sends, and receives at the same time: so many bytes a second, after a latency."""

    bandwidth: float
    latency: float = 0.0


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took its time: work of a device, or a transfer, which is of the first of its members."""

    rank: int
    label: str
    start: float
    end: float
    moves: bool = False


@dataclass(frozen=True, slots=True)
class Went:
    """How it went."""

    ends: tuple[tuple[float, ...], ...]  # of every device, when its steps ended
    busy: tuple[float, ...]  # of every device, seconds of work in all
    spans: tuple[Span, ...]


class Stuck(ValueError):
    """Devices wait for one another, and none can go on."""

    def __init__(self, waiting: Mapping[int, str]) -> None:
        super().__init__("; ".join(f"rank {rank} waits at `{label}`" for rank, label in sorted(waiting.items())))
        self.waiting = dict(waiting)


@dataclass(slots=True)
class _Device:
    actions: Sequence[Action]
    at: int = 0
    asked: bool = False  # whether the action at hand has asked for its transfers
    worked: bool = False  # whether it has only to give
    time: float = 0.0
    busy: float = 0.0
    ends: list[float] = field(default_factory=list)


class Events:
    """Runs programs: one sequence of actions a device, over transfers by key.

    Processes that share `cores`, fewer than there are of them, take turns: an action has a core until it is done.
    """

    def __init__(
        self,
        programs: Sequence[Sequence[Action]],
        transfers: Mapping[Key, Transfer],
        links: Links,
        cores: int | None = None,
    ) -> None:
        self.transfers: Final = transfers
        self.links: Final = links
        self._devices = [_Device(actions) for actions in programs]
        self._free: dict[Port, float] = {}
        self._cores = [0.0] * (cores or 0)  # a heap: when each is free; empty where every device has its own
        self._asked: dict[Key, int] = {}
        self._done: dict[Key, float] = {}
        self._waiting: dict[Key, list[int]] = {}
        self._agenda: list[tuple[float, int]] = [(0.0, rank) for rank in range(len(self._devices))]
        self._spans: list[Span] = []

    def run(self) -> Went:
        """Until all are through; raises `Stuck` where they never are."""
        while self._agenda:
            time, rank = heappop(self._agenda)
            device = self._devices[rank]
            device.time = max(device.time, time)
            self._go_on(rank, device)
        waiting = {r: d.actions[d.at].label for r, d in enumerate(self._devices) if d.at < len(d.actions)}
        if waiting:
            raise Stuck(waiting)
        devices = self._devices
        return Went(tuple(tuple(d.ends) for d in devices), tuple(d.busy for d in devices), tuple(self._spans))

    def _go_on(self, rank: int, device: _Device) -> None:
        """As far as nothing happens that others have to do with; what asks is put off until it is its time."""
        now = device.time
        while device.at < len(device.actions) and self._did(rank, device, device.actions[device.at], now):
            device.at, device.asked, device.worked = device.at + 1, False, False

    def _did(self, rank: int, device: _Device, action: Action, now: float) -> bool:
        """Whether an action was brought to its end; otherwise it is gone on with later."""
        if not device.asked:
            if not self._ask_at(rank, device, action.asks, now):
                return False
            device.asked = True
        if not device.worked:
            if not self._all_there(rank, device, action) or not self._has_core(rank, device, action, now):
                return False
            self._work(rank, device, action)
        if not self._ask_at(rank, device, action.gives, now):
            return False
        if action.ends:
            device.ends.append(device.time)
        return True

    def _ask_at(self, rank: int, device: _Device, keys: Sequence[Key], now: float) -> bool:
        """Ask for transfers, in the order of all that happens: so not before the device's own time has come."""
        if keys and device.time > now:
            heappush(self._agenda, (device.time, rank))
            return False
        self._ask(keys, now)
        return True

    def _all_there(self, rank: int, device: _Device, action: Action) -> bool:
        for key in action.awaits:
            if key not in self._done:
                self._waiting.setdefault(key, []).append(rank)
                return False
            device.time = max(device.time, self._done[key])
        return True

    def _has_core(self, rank: int, device: _Device, action: Action, now: float) -> bool:
        """Take the core that is free first; in the order of all that happens, so not before its own time has come."""
        if not self._cores or not action.seconds:
            return True
        if device.time > now:
            heappush(self._agenda, (device.time, rank))
            return False
        device.time = max(device.time, self._cores[0])
        heapreplace(self._cores, device.time + action.seconds)
        return True

    def _work(self, rank: int, device: _Device, action: Action) -> None:
        device.worked = True
        if action.seconds:
            self._spans.append(Span(rank, action.label, device.time, device.time + action.seconds))
            device.time += action.seconds
            device.busy += action.seconds

    def _ask(self, keys: Sequence[Key], now: float) -> None:
        for key in keys:
            asked = self._asked[key] = self._asked.get(key, 0) + 1
            if asked == len(self.transfers[key].members):
                self._begin(key, self.transfers[key], now)

    def _begin(self, key: Key, transfer: Transfer, now: float) -> None:
        """As soon as all its links are free; who waits for it goes on when it is there."""
        start = max((now, *(self._free.get(port, 0.0) for port in transfer.ports)))
        moving = transfer.seconds + transfer.bytes / self.links.bandwidth
        alone = len(transfer.members) == 1
        done = self._done[key] = start + (0.0 if alone else transfer.hops * self.links.latency) + moving
        for port in transfer.ports:
            self._free[port] = start + moving
        if done > start or not alone:
            self._spans.append(Span(transfer.members[0], str(key), start, done, moves=True))
        for rank in self._waiting.pop(key, ()):
            heappush(self._agenda, (done, rank))

"""Parameters that live on the host: they come to a device for their turn, and are stepped where they live.

A module holds a parameter of the host's until it is loaded, then that of the device until it is evicted. So whoever
looks at a model between steps (a checkpoint, an export, an average) finds the host's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from specc.plan.offloading import Held

from . import host


@dataclass(slots=True, eq=False)
class Slot:
    """One parameter: where a module looks for it, the host's own, and the device's while there is one."""

    holder: MutableMapping[str, Any]
    key: str
    own: nn.Parameter
    copy: nn.Parameter | None = None
    gradient: Tensor | None = None  # where gradients arrive on the host

    def show(self, parameter: nn.Parameter) -> None:
        """Have the module find this one."""
        self.holder[self.key] = parameter


class Done(Protocol):
    """A point in a device's work."""

    def synchronize(self) -> None:
        """Wait until the device is there."""


class Ways:
    """How numbers go to a device and come from it: at once, for a processor that stands for one."""

    pinned = False

    def bring(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Done | None:
        """Begin to copy the host's tensors to the device's."""
        for there, own in pairs:
            there.copy_(own)
        return None

    def arrived(self, done: Done | None) -> None:
        """What the device does next comes after this."""

    def fetch(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Done | None:
        """Begin to copy the device's tensors to the host's."""
        for own, there in pairs:
            own.copy_(there)
        return None

    def thread_begins(self) -> None:
        """Called by the thread that makes steps, before anything else."""


class Streams(Ways):
    """Of a GPU: a stream each way beside the one that computes, from and to memory that is never paged out.

    The host is far ahead of a GPU, and what it frees there while a second stream reads it is free only when that one
    is through. So the host waits for all but the last `LEAVING` that it has sent on their way; gradients of many
    blocks would pile up otherwise.
    """

    pinned = True
    LEAVING = 2

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._in, self._out = torch.cuda.Stream(device), torch.cuda.Stream(device)
        self._leaving: deque[Done] = deque()

    def bring(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Done | None:
        """What was there before in the same memory must have been used, which has been asked of the device already."""
        self._in.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._in):
            for there, own in pairs:
                there.copy_(own, non_blocking=True)
        return self._reached(self._in)

    def arrived(self, done: Done | None) -> None:
        """The stream that computes waits; the host does not."""
        assert isinstance(done, torch.cuda.Event)
        torch.cuda.current_stream(self.device).wait_event(done)

    def fetch(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Done | None:
        """The device's memory is given to nobody else until it has been read."""
        while pairs and len(self._leaving) >= self.LEAVING:
            self._leaving.popleft().synchronize()
        self._out.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._out):
            for own, there in pairs:
                own.copy_(there, non_blocking=True)
                there.record_stream(self._out)
        done = self._reached(self._out)
        if pairs:
            self._leaving.append(done)
        return done

    def thread_begins(self) -> None:
        """A thread begins with the first GPU, of which it would take memory."""
        torch.cuda.set_device(self.device)

    def _reached(self, stream: torch.cuda.Stream) -> Done:
        """Whoever waits for it sleeps: the processor has steps to make."""
        done: Done = stream.record_event(torch.cuda.Event(blocking=True))
        return done


class Offload:
    """Loads and evicts what a plan says, and has steps made behind; `behind`: while the device goes on."""

    def __init__(
        self, held: Held, slots: dict[str, list[Slot]], device: torch.device, *, behind: bool | None = None
    ) -> None:  # fmt: skip
        self.lent, self.slots, self.device = held.lent, slots, device
        self.ways = Streams(device) if device.type == "cuda" else Ways()
        self.moved = [0, 0]  # bytes that came to the device and left it
        self._behind = device.type == "cuda" if behind is None else behind
        self._worker: ThreadPoolExecutor | None = None
        self._coming: dict[str, Done | None] = {}  # what is on its way, or on the device
        self._gone: dict[str, Done | None] = {}  # what has left it
        self._waiting: dict[str, list[Future[None]]] = {}
        for slot in (slot for own in slots.values() for slot in own):
            host.put(slot.own)
            if not self.lent:
                slot.copy = self._place(slot.own)

    def __contains__(self, state: object) -> bool:
        return state in self.slots

    def staying(self) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
        """What lives on the host, and what the device has of it throughout."""
        slots = (slot for own in self.slots.values() for slot in own)
        return ((slot.own, slot.copy) for slot in slots if slot.copy is not None)

    def load(self, state: str, then: str | None = None) -> None:
        """From now on the modules find the device's parameters; what comes `then` begins to move."""
        self._bring(state)
        if then is not None:
            self._bring(then)
        self._arrive(state)
        for slot in self.slots[state]:
            assert slot.copy is not None
            slot.show(slot.copy)

    def evict(self, state: str) -> None:
        """From now on the modules find the host's parameters, to which the gradients begin to move."""
        pairs: list[tuple[Tensor, Tensor]] = []
        for slot in self.slots[state]:
            assert slot.copy is not None
            if slot.copy.grad is not None:
                pairs.append((self._arriving(slot, slot.copy.grad), slot.copy.grad))
        self.moved[1] += sum(own.nbytes for own, _ in pairs)
        self._gone[state] = self.ways.fetch(pairs)
        del pairs
        self._leave(state)

    def behind(self, state: str, work: Callable[[], None]) -> None:
        """Do something to the host's parameters, when what was evicted has arrived."""
        done = self._gone.get(state)

        def run() -> None:
            if done is not None:
                done.synchronize()
            with host.working():
                work()

        if self._behind:
            self._waiting.setdefault(state, []).append(self._thread().submit(run))
        else:
            run()

    def settle(self) -> None:
        """Wait until all that is done behind is done."""
        for state in list(self._waiting):
            self._await(state)
        self._gone.clear()

    @contextmanager
    def here(self, states: Sequence[str]) -> Iterator[None]:
        """For as long as this lasts the modules find the device's parameters, which nobody sends gradients to."""
        own = [state for state in states if state in self.slots]
        try:
            for state in own:
                self.load(state)
            yield
        finally:
            for state in own:
                self._leave(state)

    def abandon(self) -> None:
        """After an error: nothing is on the device, nobody waits."""
        for state in list(self._coming):
            with suppress(RuntimeError):  # of a GPU that is lost, which is told already
                self._arrive(state)
            self._leave(state)
        for begun in (each for futures in self._waiting.values() for each in futures):
            begun.exception()  # waits; whatever ended the step is told already
        self._waiting.clear()
        self._gone.clear()

    def _thread(self) -> ThreadPoolExecutor:
        """One, so that what is done behind is done in order; sums depend on how many threads share them."""
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, "offload", self._begin, (torch.get_num_threads(),))
        return self._worker

    def _begin(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.ways.thread_begins()

    def _await(self, state: str) -> None:
        for begun in self._waiting.pop(state, ()):
            begun.result()

    def _bring(self, state: str) -> None:
        """Have parameters begin to move, where they do not yet."""
        if state in self._coming:
            return
        self._await(state)
        pairs: list[tuple[Tensor, Tensor]] = []
        for slot in self.slots[state]:
            slot.copy = slot.copy if slot.copy is not None else self._place(slot.own)
            pairs.append((slot.copy.data, slot.own.data))
        self.moved[0] += sum(own.nbytes for _, own in pairs)
        self._coming[state] = self.ways.bring(pairs)

    def _arrive(self, state: str) -> None:
        """What the device does from now on it does when these are there; nothing else may take their place before."""
        self.ways.arrived(self._coming[state])

    def _place(self, own: nn.Parameter) -> nn.Parameter:
        return nn.Parameter(torch.empty_like(own, device=self.device), own.requires_grad)

    def _arriving(self, slot: Slot, gradient: Tensor) -> Tensor:
        """Where a gradient goes on the host, as it lies on the device; what a step left behind is added there."""
        with host.working():
            place = slot.gradient
            if place is None or place.stride() != gradient.stride():
                place = torch.empty_like(gradient, device="cpu", pin_memory=self.ways.pinned)
                host.put(place)
            if slot.own.grad is not None:
                gradient.add_(slot.own.grad.to(gradient.device))
        slot.gradient = slot.own.grad = place
        return place

    def _leave(self, state: str) -> None:
        self._coming.pop(state, None)
        for slot in self.slots[state]:
            slot.show(slot.own)
            if slot.copy is not None:
                slot.copy.grad = None
            if self.lent:
                slot.copy = None

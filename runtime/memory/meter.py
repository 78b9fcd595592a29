"""Measures the memory of real steps: the allocator's own peak on CUDA, live tensor bytes on a CPU."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..engine import host
from ..engine.sharding import own_part

Resized = Callable[[], Iterable[Sequence[Tensor]]]


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of every storage that an op made and somebody still holds; works on fake tensors too.

    Storages of tensors that are `resized` grow and shrink; those of one group all at once.
    """

    def __init__(self, resident: Iterable[Tensor] = (), resized: Resized = tuple) -> None:
        super().__init__()
        self.peak = self._alive = 0
        self._known: dict[int, weakref.ref[Any]] = {}
        self._sizes: dict[int, int] = {}
        self._resized = resized
        for tensor in resident:
            self.add(tensor)

    @property
    def alive(self) -> int:
        """Bytes of all that is there now."""
        self._look()
        return self._alive

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the op and count what it made, and what was resized since the last one."""
        self._look()
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._made(leaf)
        return result

    def _made(self, tensor: Tensor) -> None:
        if host.is_working() and tensor.untyped_storage()._cdata not in self._known:
            host.put(tensor)
        self.add(tensor)

    def add(self, tensor: Tensor) -> None:
        """Count a tensor's storage from now on until it dies; not where it is the host's."""
        tensor = own_part(tensor)
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known or host.has(tensor):
            return

        def died(_: Any) -> None:
            self._known.pop(key, None)
            self._alive -= self._sizes.pop(key)

        self._known[key] = weakref.ref(storage, died)
        self._resize(key, storage.nbytes())

    def _resize(self, key: int, size: int) -> None:
        self._alive += size - self._sizes.get(key, 0)
        self._sizes[key] = size
        self.peak = max(self.peak, self._alive)

    def _look(self) -> None:
        for group in self._resized():
            first = group[0].untyped_storage()
            if first.nbytes() != self._sizes.get(first._cdata):
                for tensor in group:
                    self.add(tensor)
                    storage = tensor.untyped_storage()
                    self._resize(storage._cdata, storage.nbytes())


class Meter:
    """The peak memory of the steps run under it, in bytes; 0 before the first.

    On CUDA the allocator has three answers: what was asked of it, the blocks that it gave (rounded up; the budget is
    held against these), and what it keeps of the device. The CUDA context is in none of them.
    """

    def __init__(
        self, device: torch.device, resident: Callable[[], Iterable[Tensor]], resized: Resized = tuple
    ) -> None:
        self.device = device
        self.resident, self.resized = resident, resized
        self.peak_bytes = 0
        self.requested_bytes = 0  # CUDA only; the asynchronous allocator (cudaMallocAsync) does not know it
        self.reserved_bytes = 0  # CUDA only
        self._live = LiveTensors()  # CPU only

    def measure(self, step: Callable[[], Any], inputs: Iterable[Tensor]) -> Any:
        """Run one step and keep its peak if it is the highest so far."""
        if self.device.type == "cuda":
            return self._on_cuda(step)
        with LiveTensors([*self.resident(), *inputs], self.resized) as self._live:
            result = step()
        self.peak_bytes = max(self.peak_bytes, self._live.peak)
        return result

    def reading(self) -> int:
        """The highest point since this was asked last, of the step that is being measured."""
        if self.device.type == "cuda":
            return self._of_the_allocator()
        found, self._live.peak = self._live.peak, self._live.alive
        self.peak_bytes = max(self.peak_bytes, found)
        return found

    def _on_cuda(self, step: Callable[[], Any]) -> Any:
        # The allocator counts in the order of the host's calls, so nothing has to be waited for before. To wait after
        # the step changes no peak; it brings the step's errors to light here.
        torch.cuda.reset_peak_memory_stats(self.device)
        result = step()
        torch.cuda.synchronize(self.device)
        self._of_the_allocator()
        return result

    def _of_the_allocator(self) -> int:
        """Its peaks, which begin anew here."""
        found = torch.cuda.memory_stats(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        allocated: int = found.get("allocated_bytes.all.peak", 0)
        self.peak_bytes = max(self.peak_bytes, allocated)
        self.requested_bytes = max(self.requested_bytes, found.get("requested_bytes.all.peak", 0))
        self.reserved_bytes = max(self.reserved_bytes, found.get("reserved_bytes.all.peak", 0))
        return allocated

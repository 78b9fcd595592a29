"""`train.graphs`: a whole step as one CUDA graph, which a host starts with a single call.

The first steps run as ever. Then one is captured, with places for the batch and the learning rate, and replayed. What
a capture cannot hold is said once, and all steps run as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from specc.diagnostics.notices import notice

from .device import first_line

T = TypeVar("T")
WARM = 2  # steps on a stream beside the default one, as torch wants before a capture


class Capturing(Protocol):
    """What records a step and replays it."""

    def warm(self, step: Callable[[], T]) -> T:
        """Run a step as it will be captured."""

    def capture(self, step: Callable[[], T]) -> Callable[[], T]:
        """What does the step again, with what stands in its places then; nothing is computed yet."""


class CudaGraphs:
    """The real one. It has never run in our hands: no GPU was there when it was written."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def warm(self, step: Callable[[], T]) -> T:
        """See `Capturing.warm`."""
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            found = step()
        current.wait_stream(self.stream)
        return found

    def capture(self, step: Callable[[], T]) -> Callable[[], T]:
        """See `Capturing.capture`."""
        torch.cuda.empty_cache()  # what the steps before have left is for the graph's own pool
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            found = step()

        def replay() -> T:
            graph.replay()
            return found

        return replay


class Places:
    """Where a captured step finds its batch and its learning rate."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images.clone(), labels.clone()
        self.lr = torch.zeros((), device=images.device)

    def fit(self, images: Tensor, labels: Tensor) -> bool:
        """Whether a batch is like the one that was captured."""
        pairs = ((images, self.images), (labels, self.labels))
        return all(new.shape == old.shape and new.dtype == old.dtype and new.stride() == old.stride()
                   for new, old in pairs)  # fmt: skip

    def fill(self, images: Tensor, labels: Tensor, lr: float) -> None:
        """Put a batch there."""
        self.images.copy_(images)
        self.labels.copy_(labels)
        self.lr.fill_(lr)


class Graphed:
    """Steps of a training, captured as soon as they may be; `step` takes images and labels that lie on the device."""

    def __init__(
        self, step: Callable[[Tensor, Tensor], T], optimizers: Mapping[str, torch.optim.Optimizer], by: Capturing
    ) -> None:
        self._step, self._optimizers, self._by = step, optimizers, by
        self._places: Places | None = None
        self._replay: Callable[[], Any] | None = None
        self._warm, self.refused = 0, False

    def __call__(self, images: Tensor, labels: Tensor, *, watched: bool) -> Any:
        """A step; one that is watched, or of another size, runs as ever."""
        if self.refused or watched or (self._places is not None and not self._places.fit(images, labels)):
            return self._step(images, labels)
        if self._warm < WARM:
            self._warm += 1
            return self._by.warm(lambda: self._step(images, labels))
        if self._replay is None and not self._captured(images, labels):
            return self._step(images, labels)
        assert self._places is not None
        assert self._replay is not None
        self._places.fill(images, labels, next(self._rates()))
        return self._replay()

    def _captured(self, images: Tensor, labels: Tensor) -> bool:
        places = Places(images, labels)
        try:
            with self._prepared(places.lr):
                self._replay = self._by.capture(lambda: self._step(places.images, places.labels))
        except RuntimeError as error:  # what waits for the device cannot be captured; nor what does not fit into it
            self.refused = True
            notice(f"warning: the step is not captured (`train.graphs`), and runs as it is: {first_line(error)}")
            return False
        self._places = places
        return True

    @contextmanager
    def _prepared(self, lr: Tensor) -> Iterator[None]:
        """The optimizers read their rate from a place, and say that they may be captured; their numbers stay theirs."""
        groups = [group for optimizer in self._optimizers.values() for group in optimizer.param_groups]
        before: list[dict[str, Any]] = [{k: group[k] for k in ("lr", "capturable") if k in group} for group in groups]
        lr.fill_(next(self._rates()))
        try:
            for group, kept in zip(groups, before, strict=True):
                group.update({key: lr if key == "lr" else True for key in kept})
            yield
        finally:
            for group, kept in zip(groups, before, strict=True):
                group.update(kept)

    def _rates(self) -> Iterator[float]:
        """All groups have one rate."""
        return (float(g["lr"]) for optimizer in self._optimizers.values() for g in optimizer.param_groups)

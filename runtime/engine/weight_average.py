"""An exponential moving average of what a session trains, which is evaluated in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from specc.spec.sections.average import WeightAverage as Config

from . import host
from .model import Model


class WeightAverage:
    """Of a model's trained parameters and of the running statistics beside them, from the first step on."""

    def __init__(self, config: Config, model: Model) -> None:
        self.every, self.steps = config.every, 0
        self.tensors: dict[str, Tensor] = {}  # by canonical name; none before the first step
        trained = model.trained().items()
        self.followed = {name: tensor for name, tensor in trained if tensor.is_floating_point()}
        self._mix = get_ema_multi_avg_fn(config.decay)

    @torch.no_grad()
    def update(self) -> None:
        """A step was taken."""
        if not self.tensors:
            self.tensors = {name: host.like(tensor).copy_(tensor) for name, tensor in self.followed.items()}
        elif self.steps % self.every == 0:
            self._mix([*self.tensors.values()], [*self.followed.values()], self.steps)
        self.steps += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """For as long as this lasts the model is the averaged one; nothing is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, tensor in self.tensors.items():
            own = self.followed[name]
            tensor.data, own.data = own.data, tensor.data

"""Runs one head: forward, loss and backward on a detached leaf of the features, whole or patch by patch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from specc.plan import HeadPlan

from .label_views import select
from .losses import LOSSES
from .network import GraphModule

Scale = Callable[[Tensor], Tensor]  # what a loss is multiplied by before its backward (mixed precision)
Cast = Callable[[], AbstractContextManager[None]]


def run_head(
    head: HeadPlan, networks: Sequence[GraphModule], features: Tensor, target: Tensor, cast: Cast, scale: Scale
) -> tuple[Tensor, Tensor]:
    """The unweighted loss and the gradient of the weighted one at `features` (detached, any shape)."""
    run = _Run(head, networks, target, cast, scale)
    if head.patches is None:
        return run.whole(features)
    if head.patches.fuse == "losses":
        return run.losses(features)
    return run.outputs(features)


def cut(x: Tensor, grid: tuple[int, int]) -> list[Tensor]:
    """Views of the patches, row by row."""
    rows, columns = grid
    h, w = x.shape[2] // rows, x.shape[3] // columns
    return [x[:, :, r * h : (r + 1) * h, c * w : (c + 1) * w] for r in range(rows) for c in range(columns)]


class _Run:
    def __init__(
        self, head: HeadPlan, networks: Sequence[GraphModule], target: Tensor, cast: Cast, scale: Scale
    ) -> None:
        self.head, self.networks, self.target, self.cast, self.scale = head, networks, target, cast, scale

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        """The unweighted loss, on those rows of the output that there is a target for."""
        return LOSSES[self.head.loss](select(out, self.head.target, len(target)), target)

    def whole(self, features: Tensor) -> tuple[Tensor, Tensor]:
        leaf = _leaf(features)
        with self.cast():
            out = self.networks[0](leaf) if self.networks else leaf
        loss = self.loss(out, self.target)
        del out
        self._backward(loss)
        return loss.detach(), _gradient(leaf)

    def losses(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of the patches' own losses."""
        assert self.head.patches is not None
        grid = self.head.patches.grid
        leaves = [_leaf(patch) for patch in cut(features, grid)]
        targets = cut(self.target, grid) if self.head.target == "images" else [self.target] * len(leaves)
        jobs = list(zip(self.networks, leaves, targets, strict=True))
        rounds = [jobs] if self.head.patches.execution == "joint" else [[job] for job in jobs]
        total = torch.zeros((), dtype=torch.promote_types(features.dtype, torch.float32), device=features.device)
        gradient = torch.empty_like(features)
        parts = cut(gradient, grid)
        for members in rounds:
            loss = self._sum(members)
            self._backward(loss)
            total = total + loss.detach()
            for _, leaf, _ in members:
                parts.pop(0).copy_(_gradient(leaf))
        return total, gradient

    def _sum(self, jobs: Sequence[tuple[GraphModule, Tensor, Tensor]]) -> Tensor:
        with self.cast():
            outs = [network(leaf) for network, leaf, _ in jobs]
        losses = [self.loss(out, target) for out, (_, _, target) in zip(outs, jobs, strict=True)]
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def outputs(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """One loss on the mean of the patches' outputs."""
        assert self.head.patches is not None
        grid = self.head.patches.grid
        leaves = [_leaf(patch) for patch in cut(features, grid)]
        if self.head.patches.execution == "joint":
            with self.cast():
                mean = torch.stack([net(leaf) for net, leaf in zip(self.networks, leaves, strict=True)]).mean(0)
            loss = self.loss(mean, self.target)
            self._backward(loss)
        else:
            loss = self._sequential_outputs(leaves)
        gradient = torch.empty_like(features)
        for part, leaf in zip(cut(gradient, grid), leaves, strict=True):
            part.copy_(_gradient(leaf))
        return loss.detach(), gradient

    def _sequential_outputs(self, leaves: list[Tensor]) -> Tensor:
        """A pass without gradient for the mean, then one backward a patch with the mean's cotangent."""
        mean = _leaf(self._mean_without_gradient(leaves))
        loss = self.loss(mean, self.target)
        self._backward(loss)
        cotangent = _gradient(mean) / len(leaves)
        for network, leaf in zip(self.networks, leaves, strict=True):
            with self.cast():
                out = network(leaf)
            torch.autograd.backward(out, cotangent.to(out.dtype))
        return loss

    @torch.no_grad()
    def _mean_without_gradient(self, leaves: list[Tensor]) -> Tensor:
        total: Tensor | None = None
        for network, leaf in zip(self.networks, leaves, strict=True):
            network.track(False)
            with self.cast():
                out = network(leaf)
            network.track(True)
            total = out if total is None else total.add_(out)
        assert total is not None
        return total.div_(len(leaves))

    def _backward(self, loss: Tensor) -> None:
        self.scale(loss * self.head.weight).backward()


def _leaf(x: Tensor) -> Tensor:
    return x.detach().requires_grad_()


def _gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    gradient, leaf.grad = leaf.grad, None
    return gradient

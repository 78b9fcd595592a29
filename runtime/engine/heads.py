"""Runs one head: forward, loss and backward on a detached leaf of the features, whole or patch by patch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from specc.graph.layout import Layout
from specc.plan import HeadPlan, PatchGrid

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


def cut(x: Tensor, patches: PatchGrid) -> list[Tensor]:
    """Views of the patches of a map or a mask, row by row."""
    return [x[..., top:bottom, left:right] for top, bottom, left, right in patches.cells(x.shape[-2:])]


def as_map(x: Tensor, tokens: Layout | None) -> Tensor:
    """A view of tokens as the map that they come from; what is a map already as it is."""
    return x if tokens is None else x[:, tokens.skip :].transpose(1, 2).unflatten(2, tokens.size)


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
        grid = self._grid
        targets = cut(self.target, grid) if self.target.dim() > 2 else [self.target] * len(self.networks)
        total = torch.zeros((), dtype=torch.promote_types(features.dtype, torch.float32), device=features.device)
        gradient, parts = self._gradient(features)
        jobs = list(zip(self.networks, cut(as_map(features, grid.tokens), grid), targets, parts, strict=True))
        for members in [jobs] if grid.execution == "joint" else [[job] for job in jobs]:
            total = total + self._round(members)
        return total, gradient

    def _round(self, jobs: Sequence[tuple[GraphModule, Tensor, Tensor, Tensor]]) -> Tensor:
        """Some patches together: their summed loss; their gradients go where they belong."""
        leaves = [self._leaf(patch) for _, patch, _, _ in jobs]
        loss = self._sum([(network, leaf, target) for (network, _, target, _), leaf in zip(jobs, leaves, strict=True)])
        self._backward(loss)
        for (_, _, _, part), leaf in zip(jobs, leaves, strict=True):
            part.copy_(_gradient(leaf))
        return loss.detach()

    def _sum(self, jobs: Sequence[tuple[GraphModule, Tensor, Tensor]]) -> Tensor:
        with self.cast():
            outs = [network(leaf) for network, leaf, _ in jobs]
        losses = [self.loss(out, target) for out, (_, _, target) in zip(outs, jobs, strict=True)]
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def outputs(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """One loss on the mean of the patches' outputs."""
        leaves = [self._leaf(patch) for patch in cut(as_map(features, self._grid.tokens), self._grid)]
        if self._grid.execution == "joint":
            with self.cast():
                mean = torch.stack([net(leaf) for net, leaf in zip(self.networks, leaves, strict=True)]).mean(0)
            loss = self.loss(mean, self.target)
            self._backward(loss)
        else:
            loss = self._sequential_outputs(leaves)
        gradient, parts = self._gradient(features)
        for part, leaf in zip(parts, leaves, strict=True):
            part.copy_(_gradient(leaf))
        return loss.detach(), gradient

    @property
    def _grid(self) -> PatchGrid:
        assert self.head.patches is not None
        return self.head.patches

    def _leaf(self, patch: Tensor) -> Tensor:
        """The patch as a leaf: a view of a map; of tokens, which lie the other way round, a copy."""
        return _leaf(patch if self._grid.tokens is None else patch.clone(memory_format=torch.contiguous_format))

    def _gradient(self, features: Tensor) -> tuple[Tensor, list[Tensor]]:
        """A place for the gradient at the features, and views of its patches; nothing reaches class tokens."""
        tokens = self._grid.tokens
        gradient = torch.zeros_like(features) if tokens and tokens.skip else torch.empty_like(features)
        return gradient, cut(as_map(gradient, tokens), self._grid)

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
            del out
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
            del out  # before the next patch's forward
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

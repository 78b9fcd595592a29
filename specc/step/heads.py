"""One head: forward, loss and backward on a detached leaf of the features, whole or patch by patch; or its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from ..learning.losses import LOSSES
from ..plan import HeadPlan, PatchGrid
from .machine import Machine, T


@dataclass(frozen=True, slots=True)
class HeadRun(Generic[T]):
    """Runs a head; `share` is the factor on its loss, its own weight included."""

    machine: Machine[T]
    head: HeadPlan
    target: T
    share: float = 1.0

    def __call__(self, features: T) -> tuple[T, T]:
        """The unweighted loss, and the gradient of the weighted one at `features` (detached, any shape)."""
        grid = self.head.patches
        if grid is None:
            return self._whole(features)
        return self._losses(features, grid) if grid.fuse == "losses" else self._outputs(features, grid)

    def answer(self, features: T) -> Sequence[tuple[T, T]]:
        """What the head says, without a gradient, and what is right; as patches where each has its part of the target.

        Patches with the same target say together what they say in the mean, whether they are trained so or each alone.
        """
        grid = self.head.patches
        if grid is None:
            return [(self._run(0, features, record=False) if self.head.networks else features, self.target)]
        patches = [self._leaf(patch, grid) for patch in self._cut(features, grid)]
        if grid.fuse == "outputs" or not LOSSES[self.head.loss].in_pixels:
            return [(self._mean_without_gradient(patches), self.target)]
        return [(self._run(p, patch, record=False), target)
                for p, (patch, target) in enumerate(zip(patches, self._targets(grid), strict=True))]  # fmt: skip

    def _whole(self, features: T) -> tuple[T, T]:
        leaf = self.machine.leaf(features)
        out = self._run(0, leaf) if self.head.networks else leaf
        loss = self.machine.loss(self.head, out, self.target)
        del out
        self.machine.backward_loss(loss, self.share)
        return self.machine.detach(loss), self.machine.gradient(leaf)

    def _run(self, patch: int, leaf: T, *, record: bool = True) -> T:
        name, variant = self.head.runs[patch]
        return self.machine.run(name, leaf, variant=variant, record=record, track=record)

    def _losses(self, features: T, grid: PatchGrid) -> tuple[T, T]:
        """Sum of the patches' own losses."""
        machine, count = self.machine, len(self.head.networks)
        total = machine.zero(features)
        targets = self._targets(grid)
        gradient, parts = self._gradient(features, grid)
        patches = self._cut(features, grid)
        for members in [range(count)] if grid.execution == "joint" else [range(p, p + 1) for p in range(count)]:
            total = machine.plus(total, self._round(members, patches, targets, parts))
        return total, gradient

    def _targets(self, grid: PatchGrid) -> Sequence[T]:
        """What each patch is compared with."""
        if LOSSES[self.head.loss].in_pixels:
            return self.machine.patches(self.target, None, grid.cells(self.machine.size(self.target, None)))
        return [self.target] * len(self.head.networks)

    def _round(self, members: Sequence[int], patches: Sequence[T], targets: Sequence[T], parts: Sequence[T]) -> T:
        """Some patches together: their summed loss; their gradients go where they belong."""
        assert self.head.patches is not None
        leaves = [self._leaf(patches[p], self.head.patches) for p in members]
        loss = self._sum(members, leaves, targets)
        self.machine.backward_loss(loss, self.share)
        for p, leaf in zip(members, leaves, strict=True):
            self.machine.write(parts[p], self.machine.gradient(leaf))
        return self.machine.detach(loss)

    def _sum(self, members: Sequence[int], leaves: Sequence[T], targets: Sequence[T]) -> T:
        outs = [self._run(p, leaf) for p, leaf in zip(members, leaves, strict=True)]
        losses = [self.machine.loss(self.head, out, targets[p]) for out, p in zip(outs, members, strict=True)]
        return losses[0] if len(losses) == 1 else self.machine.total(losses)

    def _outputs(self, features: T, grid: PatchGrid) -> tuple[T, T]:
        """One loss on the mean of the patches' outputs."""
        machine = self.machine
        leaves = [self._leaf(patch, grid) for patch in self._cut(features, grid)]
        if grid.execution == "joint":
            mean = machine.mean([self._run(p, leaf) for p, leaf in enumerate(leaves)])
            loss = machine.loss(self.head, mean, self.target)
            machine.backward_loss(loss, self.share)
        else:
            loss = self._one_by_one(leaves)
        gradient, parts = self._gradient(features, grid)
        for part, leaf in zip(parts, leaves, strict=True):
            machine.write(part, machine.gradient(leaf))
        return machine.detach(loss), gradient

    def _one_by_one(self, leaves: Sequence[T]) -> T:
        """A pass without gradient for the mean, then one backward a patch with the mean's cotangent."""
        machine = self.machine
        mean = machine.leaf(self._mean_without_gradient(leaves))
        loss = machine.loss(self.head, mean, self.target)
        machine.backward_loss(loss, self.share)
        cotangent = machine.divide(machine.gradient(mean), len(leaves))
        for p, leaf in enumerate(leaves):
            out = self._run(p, leaf)
            machine.backward([(out, cotangent)])
            del out
        return loss

    def _mean_without_gradient(self, leaves: Sequence[T]) -> T:
        total: T | None = None
        for p, leaf in enumerate(leaves):
            out = self._run(p, leaf, record=False)
            if total is None:
                total = out
            else:
                self.machine.add(total, out)
            del out  # before the next patch's forward
        assert total is not None
        self.machine.shrink(total, len(leaves))
        return total

    def _cut(self, x: T, grid: PatchGrid) -> Sequence[T]:
        return self.machine.patches(x, grid.tokens, grid.cells(self.machine.size(x, grid.tokens)))

    def _leaf(self, patch: T, grid: PatchGrid) -> T:
        """The patch as a leaf: a view of a map; of tokens, which lie the other way round, a copy."""
        return self.machine.leaf(patch if grid.tokens is None else self.machine.copy(patch))

    def _gradient(self, features: T, grid: PatchGrid) -> tuple[T, Sequence[T]]:
        """A place for the gradient at the features, and views of its patches; nothing reaches class tokens."""
        gradient = self.machine.place(features, cleared=grid.tokens is not None and grid.tokens.skip > 0)
        return gradient, self._cut(gradient, grid)

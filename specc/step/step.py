"""One training step: the instructions of a plan in order, values in a dictionary, nothing decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, assert_never

from ..plan import (
    Backward,
    Branch,
    BranchBackward,
    EmaUpdate,
    Extension,
    Forward,
    Free,
    Head,
    Instruction,
    LinkPlan,
    Step,
    Unit,
)
from ..plan.values import IMAGES, LABELS, of_slice
from .heads import HeadRun
from .machine import Machine, T


class TrainingStep(Generic[T]):
    """Runs one step at a time; `losses` holds what the heads of the last one said."""

    def __init__(self, machine: Machine[T], units: Iterable[Unit], slices: int = 1) -> None:
        self.machine, self.slices = machine, slices
        self.units: Mapping[str, Unit] = {unit.name: unit for unit in units}
        self.heads = {(unit.name, head.name): head for unit in self.units.values() for head in unit.heads}
        self.values: dict[str, T] = {}
        self.losses: dict[str, dict[str, T]] = {}
        self.outputs: dict[int, str] = {}  # of the last block that ran, by slice
        self.samples = 0

    def begin(self, images: T, labels: T) -> None:
        """Take a batch."""
        self.samples = self.machine.rows(labels)
        if self.samples < self.slices:
            raise ValueError(f"a batch of {self.samples} cannot be divided into {self.slices} slices")
        self.losses = {unit: {} for unit in self.units}
        self.values = {}
        batch = zip(self.machine.slices(images, self.slices), self.machine.slices(labels, self.slices), strict=True)
        first = 0
        for i, (part, own) in enumerate(batch):
            self.values[of_slice(IMAGES, i)] = self.machine.views(part, own, first)
            self.values[of_slice(LABELS, i)] = own
            first += self.machine.rows(own)

    def run(self, instruction: Instruction) -> None:
        """Do what an instruction says."""
        match instruction:
            case Forward():
                self._forward(instruction)
            case Branch():
                self._branch(instruction)
            case Head():
                self._head(instruction)
            case BranchBackward():
                self._branch_backward(instruction)
            case Backward():
                self._backward(instruction)
            case EmaUpdate():
                for link in self.units[instruction.unit].links:
                    self.machine.average(link)
            case Step():
                self.machine.step(instruction.group)
            case Free():
                for name in instruction.values:
                    del self.values[name]
            case Extension():
                instruction.run(self.values, self.machine)
            case _:
                assert_never(instruction)

    def end(self) -> T:
        """The network's output, all slices in one, of views with labels the first; the step lets go of everything."""
        values, self.values = self.values, {}
        parts = [self.machine.first(values[name], self.machine.rows(values[of_slice(LABELS, slice)]))
                 for slice, name in sorted(self.outputs.items())]  # fmt: skip
        return parts[0] if len(parts) == 1 else self.machine.join(parts)

    def _forward(self, i: Forward) -> None:
        source = self.values[i.source]
        images = self.values[i.images] if i.images else None
        if i.leaf:
            source = self.values[i.leaf] = self.machine.leaf(source)
        out = self.machine.run(f"block{i.block}", source, images, record=i.graph is not None)
        if i.graph:
            self.values[i.graph] = out
        self.values[i.output] = self.machine.detach(out)
        self.outputs[i.slice] = i.output

    def _branch(self, i: Branch) -> None:
        leaf = self.machine.leaf(self.values[i.source])
        images = self.values[i.images] if i.images else None
        out = self.linked(self.units[i.unit], leaf, images)
        self.values[i.leaf], self.values[i.graph], self.values[i.output] = leaf, out, self.machine.detach(out)

    def linked(self, unit: Unit, x: T, images: T | None, *, record: bool = True) -> T:
        """What the heads of a unit with EMA links read in place of `x`; a copied layer may read the images too."""
        first, *others = unit.links
        out = self._link(first, x, images, record)
        for link in others:
            out = self.machine.plus(out, self._link(link, x, images, record))
        return out

    def _link(self, link: LinkPlan, x: T, images: T | None, record: bool) -> T:
        if link.bias is None:
            return self.machine.run(link.ema, x, images, record=record)
        if link.mode == "parameter":
            return self.machine.averaged(link, x, images)
        both = [self.machine.run(name, x, images, record=record) for name in (link.bias, link.ema)]
        return self.machine.scaled(link, *both) if link.mode == "scaled" else self.machine.plus(*both)

    def _head(self, i: Head) -> None:
        part = self.machine.rows(self.values[of_slice(LABELS, i.slice)]) / self.samples  # of the batch
        loss, gradient = self.run_head(i, self.values[i.source], part)
        said, head = self.losses[i.unit], self.heads[i.unit, i.head]
        if self.slices > 1:
            self.machine.shrink(loss, 1 / part)
        said[head.term] = loss if head.term not in said else self.machine.plus(said[head.term], loss)
        self._add(i.gradient, gradient)

    def run_head(self, i: Head, features: T, part: float) -> tuple[T, T]:
        """One head's loss on a slice that is so much of the batch, and the gradient at the features."""
        head = self.heads[i.unit, i.head]
        target = self.machine.target(head, self.values[i.target])
        return HeadRun(self.machine, head, target, head.weight * part)(features)

    def _branch_backward(self, i: BranchBackward) -> None:
        self.machine.backward(self.values[i.graph], self.values[i.cotangent])
        self._add(i.gradient, self.machine.gradient(self.values[i.leaf]))

    def _backward(self, i: Backward) -> None:
        stops = i.leaf is not None and i.gradient is None  # the gradient of the input would be thrown away
        self.machine.backward(
            self.values[i.graph], self.values[i.cotangent], retain=i.retain, only=i.trains if stops else ()
        )
        if i.gradient and i.leaf:
            self._add(i.gradient, self.machine.gradient(self.values[i.leaf]))

    def _add(self, name: str, gradient: T) -> None:
        if name in self.values:
            self.machine.add(self.values[name], gradient)
        else:
            self.values[name] = gradient

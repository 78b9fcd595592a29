"""One training step: the instructions of a plan in order, values in a dictionary, nothing decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, assert_never

from ..plan import (
    Backward,
    Branch,
    BranchBackward,
    EmaUpdate,
    Entry,
    Evict,
    Extension,
    Forward,
    Free,
    Given,
    Head,
    Instruction,
    Layout,
    LinkPlan,
    Load,
    Outlet,
    Receive,
    ReceiveSources,
    Reduce,
    Root,
    Send,
    SendSources,
    Step,
    Unit,
    divided,
)
from ..plan.values import IMAGES, LABELS, of_slice
from .heads import HeadRun
from .machine import Machine, T, Wanted


class TrainingStep(Generic[T]):
    """Runs one step at a time; `losses` holds what the heads of the last one said."""

    def __init__(self, machine: Machine[T], units: Iterable[Unit], slices: int = 1) -> None:
        self.machine, self.slices = machine, slices
        self.layout: Layout | None = None  # where this is one of several devices
        self.units: Mapping[str, Unit] = {unit.name: unit for unit in units}
        self.heads = {(unit.name, head.name): head for unit in self.units.values() for head in unit.heads}
        self.values: dict[str, T] = {}
        self.losses: dict[str, dict[str, T]] = {}
        self.outputs: dict[int, str] = {}  # of the last block that ran, by slice
        self.samples = 0  # of the whole batch, on all devices
        self.rows: list[int] = []  # of every slice, on this one
        self.labels: dict[int, T] = {}  # that were received, by slice: what is told at the end is held against them

    def begin(self, images: T, labels: T, samples: int | None = None) -> None:
        """Take a batch, or this copy's part of a batch of so many samples."""
        own = self.machine.rows(labels)
        self.expect(own if samples is None else samples)
        if sum(self.rows) != own:
            raise ValueError(f"{own} samples are not the {sum(self.rows)} of {self.samples} that this device has")
        batch = zip(self.machine.slices(images, self.rows), self.machine.slices(labels, self.rows), strict=True)
        for i, (part, labels) in enumerate(batch):
            self.values[of_slice(IMAGES, i)] = self.machine.views(part, labels, sum(self.rows[:i]))
            self.values[of_slice(LABELS, i)] = labels

    def expect(self, samples: int) -> None:
        """Be told how many samples there are: all that a stage knows of a batch that another one sends on."""
        self.samples = samples
        self.rows = self.layout.rows(samples) if self.layout else [*map(len, divided(range(samples), self.slices))]
        if 0 in self.rows:
            copies = f" and {self.layout.copies} copies" if self.layout and self.layout.copies > 1 else ""
            raise ValueError(f"a batch of {samples} cannot be divided into {self.slices} slices{copies}")
        self.losses = {unit: {} for unit in self.units}
        self.values, self.labels = {}, {}

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
            case Reduce():
                self.machine.reduce(instruction.group)
            case Send():
                self._send(instruction)
            case Receive():
                self._receive(instruction)
            case SendSources():
                self.machine.send_sources(instruction.unit, instruction.tensors, instruction.to)
            case ReceiveSources():
                self.machine.receive_sources(instruction.unit, instruction.tensors, instruction.source)
            case Load():
                self.machine.load(instruction)
            case Evict():
                self.machine.evict(instruction.state)
            case Extension():
                instruction.run(self.values, self.machine)
            case _:
                assert_never(instruction)

    def end(self) -> T | None:
        """What the last block gave, where it is here: all slices in one, of views with labels the first."""
        values, self.values = self.values, {}
        here = ((slice, values[name]) for slice, name in sorted(self.outputs.items()) if name in values)
        parts = [self.machine.first(value, self.rows[slice]) for slice, value in here]
        del values
        self.machine.settle()
        return self._joined(parts)

    def received(self) -> T | None:
        """The labels of all slices, where the network ends here and they are of another device."""
        labels, self.labels = self.labels, {}
        return self._joined([labels[slice] for slice in sorted(labels)])

    def _joined(self, parts: Sequence[T]) -> T | None:
        if len(parts) > 1:
            return self.machine.join(parts)
        return parts[0] if parts else None

    def _forward(self, i: Forward) -> None:
        source = self.values[i.source]
        images = self.values[i.images] if i.images else None
        if i.leaf:
            source = self.values[i.leaf] = self.machine.leaf(source)
        skips = [self._entered(entry) for entry in i.skips]
        record = any((i.graph, *(given.graph for given in i.gives)))
        outs = self.machine.block(f"block{i.block}", source, images, skips, record=record)
        for given, out in zip((Given(i.output, i.graph), *i.gives), outs, strict=True):
            if given.graph:
                self.values[given.graph] = out
            self.values[given.output] = self.machine.detach(out)
        self.outputs[i.slice] = i.output

    def _entered(self, entry: Entry) -> T:
        """A skip as a block reads it."""
        if entry.leaf is None:
            return self.values[entry.source]
        leaf = self.values[entry.leaf] = self.machine.leaf(self.values[entry.source])
        return leaf

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
        part = self.rows[i.slice] / self.samples  # of the batch
        loss, gradient = self.run_head(i, self.values[i.source], part)
        said, head = self.losses[i.unit], self.heads[i.unit, i.head]
        if part != 1:
            self.machine.shrink(loss, 1 / part)
        said[head.term] = loss if head.term not in said else self.machine.plus(said[head.term], loss)
        self._add(i.gradient, gradient)

    def run_head(self, i: Head, features: T, part: float) -> tuple[T, T]:
        """One head's loss on a slice that is so much of the batch, and the gradient at the features."""
        head = self.heads[i.unit, i.head]
        target = self.machine.target(head, self.values[i.target])
        return HeadRun(self.machine, head, target, head.weight * part)(features)

    def _branch_backward(self, i: BranchBackward) -> None:
        self.machine.backward([(self.values[i.graph], self.values[i.cotangent])])
        self._add(i.gradient, self.machine.gradient(self.values[i.leaf]))

    def _backward(self, i: Backward) -> None:
        roots = ((self.values[at.graph], self.values[at.cotangent]) for at in (Root(i.graph, i.cotangent), *i.roots))
        outlets = [*([Outlet(i.leaf, i.gradient)] if i.leaf else []), *i.outlets]
        on = [(self.values[each.leaf], each.gradient) for each in outlets if each.gradient]
        stops = len(on) < len(outlets)  # the gradient of an input would be thrown away
        only = Wanted(i.trains, [leaf for leaf, _ in on]) if stops else None
        self.machine.backward([*roots], retain=i.retain, only=only)
        for leaf, gradient in on:
            self._add(gradient, self.machine.gradient(leaf))

    def _send(self, i: Send) -> None:
        self.machine.send(self.values[i.value], i.to, channels_last=i.channels_last)

    def _receive(self, i: Receive) -> None:
        rows = self.rows[i.slice] * (1 if i.what == "labels" else self.machine.view_count)
        found = self.machine.receive(i, rows)
        if i.what == "labels" and (self.layout is None or self.layout.last):
            self.labels[i.slice] = found
        if i.adds:
            self._add(i.value, found)
        else:
            self.values[i.value] = found

    def _add(self, name: str, gradient: T) -> None:
        if name in self.values:
            self.machine.add(self.values[name], gradient)
        else:
            self.values[name] = gradient

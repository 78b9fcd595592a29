"""Interprets a plan's instructions on torch's tensors."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from specc.plan import Forward, HeadPlan, Instruction, Plan, Receive, Send, Step, Unit
from specc.plan.offloading import AVERAGES, PARAMETERS
from specc.plan.values import IMAGES, LABELS, features
from specc.step.heads import HeadRun
from specc.step.step import TrainingStep

from .losses import answer_function
from .machine import TorchMachine


@dataclass(frozen=True, slots=True)
class Answer:
    """What is told of a batch, by the network at its end (no unit) or by a head of a unit, beside what is right."""

    unit: Unit | None
    head: HeadPlan | None
    output: Tensor
    target: Tensor


class NotFinite(Exception):
    """A loss that is no number."""

    def __init__(self, unit: str, term: str, value: float) -> None:
        super().__init__(f"the loss `{term}` of `{unit}` is {value}")


class Executor:
    """Runs one training step at a time; `losses` holds what the heads of the last step said.

    One that is `watchful` looks at them before parameters are stepped, which waits for the device.
    """

    def __init__(self, plan: Plan, machine: TorchMachine) -> None:
        self.plan, self.machine = plan, machine
        self.observer: Callable[[Instruction], None] | None = None  # told of every instruction before it runs
        self.done: Callable[[], None] | None = None  # told when all of a step's have run
        self.running: Instruction | None = None
        self.watchful = False
        self.step: TrainingStep[Tensor] = TrainingStep(machine, plan.units, plan.config.train.micro_batches)
        self.step.layout = plan.layout
        self._forwards = [i for i in plan.instructions if isinstance(i, Forward) and not i.slice]
        self._forwards.sort(key=lambda i: i.block)
        self._last_readers = {entry.source: i.block for i in self._forwards for entry in i.skips}
        self._told = {features(unit.end, skip=unit.read) for unit in plan.units if unit.read}
        self._moved = [i for i in plan.instructions if isinstance(i, Send | Receive) and i.value in _forward(plan)]

    @property
    def losses(self) -> dict[str, dict[str, Tensor]]:
        """Unweighted losses by unit and term."""
        return self.step.losses

    def run(
        self, images: Tensor | None, labels: Tensor | None, *, samples: int | None = None, update: bool = True
    ) -> tuple[Tensor, Tensor] | None:
        """Execute the plan; returns the logits, where they are made, and what is right.

        `samples` are those of the whole batch, of which a copy has a part, and which a later stage gets from another
        one. With `update` off no parameter is stepped and gradients stay.
        """
        self.machine.model.train(True)
        try:
            self._begin(images, labels, samples)
            for instruction in self.plan.instructions:
                self.running = instruction
                if self.observer is not None:
                    self.observer(instruction)
                if isinstance(instruction, Step):
                    if not update:
                        continue
                    if self.watchful:
                        self.check_losses()
                self.step.run(instruction)
            self.running = None  # after an error it stays
            if self.done is not None:
                self.done()
            logits, received = self.step.end(), self.step.received()
            labels = received if labels is None else labels
            return None if logits is None or labels is None else (logits, labels)
        except BaseException:
            self.machine.abandon()
            raise
        finally:
            self.step.values = {}

    def _begin(self, images: Tensor | None, labels: Tensor | None, samples: int | None) -> None:
        if images is not None and labels is not None:
            self.step.begin(images, labels, samples)
        elif self.plan.layout is None or samples is None:
            raise ValueError("only a later stage is given no batch, and it is told how many samples there are")
        else:
            self.step.expect(samples)

    def check_losses(self) -> None:
        """Raise `NotFinite` for the first loss that is no number, of those that the heads have said so far."""
        for unit, said in self.losses.items():
            for term, loss in said.items():
                if not math.isfinite(value := float(loss)):
                    raise NotFinite(unit, term, value)

    def predict(self, images: Tensor) -> Tensor:
        """Logits of the backbone alone, in whatever mode the model is."""
        return deque(self._outputs({IMAGES: self.machine.unlabelled(images)}, len(images)), maxlen=1).pop()

    def _outputs(self, values: MutableMapping[str, Tensor], rows: int) -> Iterator[Tensor]:
        """What each block gives; other stages send what is not there, and are sent what they need."""
        first, record = self.plan.blocks[0].index, torch.is_grad_enabled()
        for each in self._moved:
            if isinstance(each, Receive):
                values[each.value] = self.machine.receive_judged(each, rows)
        self._pass(values, IMAGES, LABELS)
        x = values[features(first - 1)] if first else values[IMAGES]
        if features(first - 1) not in self._last_readers:
            values.pop(features(first - 1), None)
        for block, forward in zip(self.plan.blocks, self._forwards, strict=True):
            skips = [values[entry.source] for entry in forward.skips]
            with self.machine.here(PARAMETERS + block.name):
                x, *given = self.machine.block(block.name, x, values.get(IMAGES), skips, record=record)
            del skips
            here = {forward.output: x, **{each.output: out for each, out in zip(forward.gives, given, strict=True)}}
            del given
            self._pass(here, *here)
            kept = (name for name in here if name in self._told or self._last_readers.get(name, -1) > block.index)
            values.update((name, here[name]) for name in kept)
            for name in [name for name, last in self._last_readers.items() if last == block.index]:
                values.pop(name, None)
            del here
            yield x

    def _pass(self, values: Mapping[str, Tensor], *names: str) -> None:
        """Send on those of these values that other stages need."""
        for each in self._moved:
            if isinstance(each, Send) and each.value in names:
                self.machine.send(values[each.value], each.to, channels_last=each.channels_last)

    def answers(
        self, images: Tensor | None, labels: Tensor | None, rows: int, *, units: bool = True
    ) -> Iterator[Answer]:
        """What every head says that answers by itself what the network is to tell, block by block; then the network.

        In whatever mode the model is; each as soon as its block has run, so that no two blocks' features are held. Of
        several stages each answers for its own, of so many samples.
        """
        given = {} if images is None or labels is None else {IMAGES: self.machine.unlabelled(images), LABELS: labels}
        for block, values in zip(self.plan.blocks, self._outputs(given, rows), strict=True):
            for unit in self.plan.units if units else ():
                if unit.telling and unit.end == block.index:
                    yield from self._of_unit(unit, values, given)
        if self.plan.layout is None or self.plan.layout.last:
            yield Answer(None, None, values, given[LABELS])
        self.machine.settle()

    def _of_unit(self, unit: Unit, values: Tensor, given: Mapping[str, Tensor]) -> Iterator[Answer]:
        own = given[features(unit.end, skip=unit.read)] if unit.read else values
        x = self._linked(unit, own, given.get(IMAGES))
        for head in unit.telling:
            for output, target in self._said(unit, head, x, given[LABELS]):
                yield Answer(unit, head, answer_function(head.loss)(output), target)

    def _linked(self, unit: Unit, values: Tensor, images: Tensor | None) -> Tensor:
        if not unit.links:
            return values
        biases = (PARAMETERS + link.bias for link in unit.links if link.bias)
        with self.machine.here(AVERAGES + unit.name, *biases):
            return self.step.linked(unit, values, images, record=False)

    def _said(self, unit: Unit, head: HeadPlan, features: Tensor, labels: Tensor) -> Sequence[tuple[Tensor, Tensor]]:
        with self.machine.here(f"{PARAMETERS}{unit.name}.{head.name}"):
            return HeadRun(self.machine, head, self.machine.target(head, labels)).answer(features)


def _forward(plan: Plan) -> set[str]:
    """What goes forward through the network: the batch, and what blocks give of its first slice."""
    forwards = [i for i in plan.instructions if isinstance(i, Forward) and not i.slice]
    passed = ((i.source, i.output, *(e.source for e in i.skips), *(g.output for g in i.gives)) for i in forwards)
    return {IMAGES, LABELS, *chain.from_iterable(passed)}


def total_loss(unit: Unit, losses: dict[str, Tensor]) -> Tensor:
    """What the unit minimises: its weighted losses."""
    if len(unit.heads) == 1:
        (head,) = unit.heads
        return head.weight * losses[head.term].detach()
    return torch.stack([head.weight * losses[head.term].detach() for head in unit.heads]).sum()

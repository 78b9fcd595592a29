"""Interprets a plan's instructions on torch's tensors."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from specc.plan import HeadPlan, Instruction, Plan, Step, Unit
from specc.plan.offloading import AVERAGES, PARAMETERS
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
        self._telling = [[unit for unit in plan.units if unit.telling and unit.end == b.index] for b in plan.blocks]

    @property
    def losses(self) -> dict[str, dict[str, Tensor]]:
        """Unweighted losses by unit and term."""
        return self.step.losses

    def run(
        self, images: Tensor | None, labels: Tensor | None, *, samples: int | None = None, update: bool = True
    ) -> Tensor | None:
        """Execute the plan; returns the logits, where they are made.

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
            return self.step.end()
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
        return deque(self._outputs(self.machine.unlabelled(images)), maxlen=1).pop()

    def _outputs(self, images: Tensor) -> Iterator[Tensor]:
        """What each block gives."""
        values = images
        for block in self.plan.blocks:
            with self.machine.here(PARAMETERS + block.name):
                values = self.machine.run(block.name, values, images, record=torch.is_grad_enabled())
            yield values

    def answers(self, images: Tensor, labels: Tensor, *, units: bool = True) -> Iterator[Answer]:
        """What every head says that answers by itself what the network is to tell, block by block; then the network.

        In whatever mode the model is; each as soon as its block has run, so that no two blocks' features are held.
        """
        whole = self.machine.unlabelled(images)
        for block, values in zip(self.plan.blocks, self._outputs(whole), strict=True):
            for unit in self._telling[block.index] if units else ():
                features = self._linked(unit, values, whole)
                for head in unit.telling:
                    for output, target in self._said(unit, head, features, labels):
                        yield Answer(unit, head, answer_function(head.loss)(output), target)
        yield Answer(None, None, values, labels)

    def _linked(self, unit: Unit, values: Tensor, images: Tensor) -> Tensor:
        if not unit.links:
            return values
        biases = (PARAMETERS + link.bias for link in unit.links if link.bias)
        with self.machine.here(AVERAGES + unit.name, *biases):
            return self.step.linked(unit, values, images, record=False)

    def _said(self, unit: Unit, head: HeadPlan, features: Tensor, labels: Tensor) -> Sequence[tuple[Tensor, Tensor]]:
        with self.machine.here(f"{PARAMETERS}{unit.name}.{head.name}"):
            return HeadRun(self.machine, head, self.machine.target(head, labels)).answer(features)


def total_loss(unit: Unit, losses: dict[str, Tensor]) -> Tensor:
    """What the unit minimises: its weighted losses."""
    if len(unit.heads) == 1:
        (head,) = unit.heads
        return head.weight * losses[head.term].detach()
    return torch.stack([head.weight * losses[head.term].detach() for head in unit.heads]).sum()

"""Interprets a plan's instructions on torch's tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from specc.plan import Instruction, Plan, Step, Unit
from specc.step.step import TrainingStep

from .machine import TorchMachine


class Executor:
    """Runs one training step at a time; `losses` holds what the heads of the last step said."""

    def __init__(self, plan: Plan, machine: TorchMachine) -> None:
        self.plan, self.machine = plan, machine
        self.observer: Callable[[Instruction], None] | None = None  # told of every instruction before it runs
        self.running: Instruction | None = None
        self.step: TrainingStep[Tensor] = TrainingStep(machine, plan.units, plan.config.train.micro_batches)

    @property
    def losses(self) -> dict[str, dict[str, Tensor]]:
        """Unweighted losses by unit and term."""
        return self.step.losses

    def run(self, images: Tensor, labels: Tensor, *, update: bool = True) -> Tensor:
        """Execute the plan; returns the logits. With `update` off no parameter is stepped and gradients stay."""
        self.machine.model.train(True)
        try:
            self.step.begin(images, labels)
            for instruction in self.plan.instructions:
                self.running = instruction
                if self.observer is not None:
                    self.observer(instruction)
                if update or not isinstance(instruction, Step):
                    self.step.run(instruction)
            self.running = None  # after an error it stays
            return self.step.end()
        finally:
            self.step.values = {}

    def predict(self, images: Tensor) -> Tensor:
        """Logits of the backbone alone, in whatever mode the model is."""
        values = whole = self.machine.unlabelled(images)
        for block in self.plan.blocks:
            values = self.machine.run(block.name, values, whole, record=torch.is_grad_enabled())
        return values


def total_loss(unit: Unit, losses: dict[str, Tensor]) -> Tensor:
    """What the unit minimises: its weighted losses."""
    return torch.stack([head.weight * losses[head.term].detach() for head in unit.heads]).sum()
